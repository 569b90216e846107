// Does one job with typage (npm age-encryption). In: a JSON object {do, recipients | identity, files} with the
// files in base64; out: a JSON list of results in base64.
import { Decrypter, Encrypter, identityToRecipient } from "age-encryption"
import { webcrypto } from "node:crypto"

// Node 18, which is Debian 12's, does not have it there by itself.
globalThis.crypto ??= webcrypto

const chunks = []
for await (const chunk of process.stdin) chunks.push(chunk)
const job = JSON.parse(Buffer.concat(chunks).toString("utf8"))

async function encrypt(file) {
  const encrypter = new Encrypter()
  for (const recipient of job.recipients) encrypter.addRecipient(recipient)
  return encrypter.encrypt(file)
}

async function decrypt(file) {
  const decrypter = new Decrypter()
  decrypter.addIdentity(job.identity)
  return decrypter.decrypt(file)
}

const results = []
if (job.do === "recipient") {
  results.push(Buffer.from(await identityToRecipient(job.identity)))
} else {
  const step = { encrypt, decrypt }[job.do]
  for (const file of job.files) results.push(await step(new Uint8Array(Buffer.from(file, "base64"))))
}
process.stdout.write(JSON.stringify(results.map((result) => Buffer.from(result).toString("base64"))))
