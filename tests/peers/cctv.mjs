// Prints the public age test vectors (C2SP CCTV) as one JSON object: name → base64 of the vector's file.
import * as vectors from "cctv-age"

const files = {}
for (const [name, bytes] of Object.entries(vectors)) {
  if (bytes instanceof Uint8Array) files[name] = Buffer.from(bytes).toString("base64")
}
process.stdout.write(JSON.stringify(files))
