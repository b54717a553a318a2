// Asks Taplo's language server, which Even Better TOML bundles, what it offers at places of a file and what it reports.
// Standard input: JSON list of {uri, text, line, character}; with line null, only what it reports. Standard output: JSON list of {labels, messages}.
import { createRequire } from "node:module";
import { promises as fs, readFileSync } from "node:fs";
import path from "node:path";

const require = createRequire(process.env.ABLATE_NODE_MODULES + "/");
const { TaploLsp } = require("@taplo/lsp");
const asked = JSON.parse(readFileSync(0, "utf8"));
const waiting = new Map();
const reported = new Map();
let number = 0;

const environment = {
  now: () => new Date(),
  envVar: () => "",
  envVars: () => [],
  stdErrAtty: () => false,
  stdin: async () => new Uint8Array(0),
  stdout: async (data) => data.length,
  stderr: async (data) => data.length,
  glob: () => [],
  readFile: async (file) => new Uint8Array(await fs.readFile(file)),
  writeFile: async () => {},
  urlToFilePath: (url) => decodeURI(url.slice("file://".length)),
  isAbsolute: (file) => path.isAbsolute(file),
  cwd: () => process.cwd(),
  findConfigFile: () => undefined,
};

const server = await TaploLsp.initialize(environment, {
  onMessage: (message) => {
    if (message.method === "textDocument/publishDiagnostics") {
      reported.set(message.params.uri, message.params.diagnostics.map((each) => ({ line: each.range.start.line, text: each.message })));
    } else if (message.method === "workspace/configuration") {
      const settings = { schema: { enabled: true, catalogs: [], associations: {}, cache: {} }, completion: { maxKeys: 5 } };
      server.send({ jsonrpc: "2.0", id: message.id, result: message.params.items.map(() => settings) });
    } else if (waiting.has(message.id) && !message.method) {
      waiting.get(message.id)(message.result ?? message);
      waiting.delete(message.id);
    }
  },
});
const request = (method, params) =>
  new Promise((done) => {
    const id = ++number;
    waiting.set(id, done);
    server.send({ jsonrpc: "2.0", id, method, params });
  });
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

await request("initialize", { processId: null, rootUri: null, capabilities: { workspace: { configuration: true } } });
server.send({ jsonrpc: "2.0", method: "initialized", params: {} });
await pause(100);
const answers = [];
for (const { uri, text, line, character } of asked) {
  server.send({ jsonrpc: "2.0", method: "textDocument/didOpen", params: { textDocument: { uri, languageId: "toml", version: 1, text } } });
  for (let tries = 0; tries < 100 && !reported.has(uri); tries++) await pause(20);
  const position = { line, character };
  const offered = line === null ? [] : await request("textDocument/completion", { textDocument: { uri }, position });
  const items = Array.isArray(offered) ? offered : (offered?.items ?? []);
  answers.push({ labels: items.map((item) => item.label), messages: reported.get(uri) ?? null });
}
console.log(JSON.stringify(answers));
process.exit(0);
