import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

const port: number = 8080;

createServer((_request: IncomingMessage, response: ServerResponse): void => {
  response.end("Hello from TypeScript on Ingot\n");
}).listen(port);
