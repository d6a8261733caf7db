import cluster from "node:cluster";
import { memoryStore } from "@tenure/core";

if (cluster.isPrimary) cluster.fork();
else {
  memoryStore();
  cluster.worker?.disconnect();
}
