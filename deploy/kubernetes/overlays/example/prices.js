madrpc.register("price", ({ net, rate = 0.19 }) => Math.round(net * (1 + rate) * 100) / 100);
