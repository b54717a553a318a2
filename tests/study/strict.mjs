// Compiles JSON Schemas with ajv in its strict mode, as SchemaStore does. Standard input: {name: schema}. Standard
// output: {name: what ajv refuses, or null}.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(process.env.ABLATE_NODE_MODULES + "/");
const { default: Ajv } = require("ajv/dist/2020");
const { default: addFormats } = require("ajv-formats");
const answers = {};
for (const [name, schema] of Object.entries(JSON.parse(readFileSync(0, "utf8")))) {
  const ajv = new Ajv({ strict: true });
  addFormats(ajv);
  try {
    ajv.compile(schema);
    answers[name] = null;
  } catch (error) {
    answers[name] = error.message;
  }
}
console.log(JSON.stringify(answers));
