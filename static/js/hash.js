// A worker that reads a file piece by piece and says its sha256. crypto.subtle would need the whole file in memory, and
// is not there at all on a page served over plain http.
import { sha256 } from "../vendor/noble-hashes-2.4.0/sha2.js";

const PIECE = 4 * 1024 * 1024;

self.onmessage = async ({ data: file }) => {
  try {
    const hash = sha256.create();
    for (let at = 0; at < file.size; at += PIECE) {
      hash.update(new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer()));
      self.postMessage({ read: Math.min(at + PIECE, file.size) });
    }
    const digits = [...hash.digest()].map((byte) => byte.toString(16).padStart(2, "0"));
    self.postMessage({ sha256: digits.join("") });
  } catch {
    self.postMessage({ unread: true }); // a folder, or a file that went away or may not be read
  }
};
