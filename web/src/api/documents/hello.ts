// Generated from schemas/hello.schema.json by "npm run types".

/**
 * What `GET /v1/hello` answers.
 */
export interface HelloDocument {
/**
 * The document type and its version; later releases may add fields.
 */
format: "exp.hello/1"
/**
 * The program.
 */
server: "exp"
/**
 * The version of the program.
 */
version: string
/**
 * The versions of the replication protocol; a client works with a server of the same major version.
 */
protocols: string[]
/**
 * What the server has beyond its protocol version; `batches`: several small files in one request.
 */
extensions?: string[]
/**
 * The server's time, UTC.
 */
time: string
/**
 * The largest sizes in bytes.
 */
limits: {
/**
 * The body of one append to rows, as it is sent.
 */
batch: number
/**
 * One saved file.
 */
file: number
/**
 * One row.
 */
row: number
}
}
