// Generated from schemas/serve.schema.json by "npm run types".

/**
 * What `exp serve --json` prints once it listens.
 */
export interface ServeDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.serve/1"
/**
 * The address for browsers and other machines; of a unix socket, `unix:` and its path.
 */
url: string
/**
 * The address that signs a browser in, once and within an hour; on a unix socket, for a port that is forwarded to it. Null with --quiet.
 */
sign_in: (string | null)
/**
 * The port; null on a unix socket.
 */
port: (number | null)
/**
 * The server's process.
 */
pid: number
/**
 * The folder in which it collects; null if it serves this machine's own files.
 */
root: (string | null)
}
