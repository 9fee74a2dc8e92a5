// One call in a fresh vm context, as the other peers do it.
const vm = require("node:vm");
const fs = require("node:fs");
const path = require("node:path");

const file = path.join(__dirname, "..", "work.js");
const script = new vm.Script(fs.readFileSync(file, "utf8"), { filename: file });

module.exports = ({ method, args }) => {
  const functions = {};
  const context = vm.createContext({
    madrpc: { register: (name, fn) => { functions[name] = fn; } },
  });
  script.runInContext(context);
  return JSON.stringify(functions[method](JSON.parse(args)));
};
