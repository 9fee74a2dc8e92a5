madrpc.register("greet", ({ name = "you" }) => `Hello, ${name}!`);
