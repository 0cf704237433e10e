// SPDX-License-Identifier: Apache-2.0
// Compiles the JavaScript client's TypeScript source, types left unchecked: compile.js FROM TO
const fs = require("fs");
const ts = require("typescript");

const [, , from, to] = process.argv;
const options = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2020, esModuleInterop: true };
const result = ts.transpileModule(fs.readFileSync(from, "utf8"), { compilerOptions: options });
fs.writeFileSync(to, result.outputText);
