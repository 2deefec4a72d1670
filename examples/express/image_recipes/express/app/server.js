// A small web app: it says which image it runs from.
const fs = require("node:fs");
const express = require("express");

const app = express();
app.set("trust proxy", "loopback");
const image = "/etc/ingot/image.json";
const version = fs.existsSync(image) ? JSON.parse(fs.readFileSync(image)).version : "unknown";

app.get("/", (request, response) => response.type("text").send(`Express on Ingot, image ${version}\n`));
app.get("/healthz", (request, response) => response.type("text").send("ok\n"));

app.listen(3000, "127.0.0.1");
