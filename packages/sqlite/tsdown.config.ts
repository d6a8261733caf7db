export { default } from "@tenure/build";
