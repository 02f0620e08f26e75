import Ajv from "ajv";
import { checked, same } from "./_check";

const validate = new Ajv({ allErrors: true }).compile({ type: "object", properties: { n: { type: "integer", minimum: 1 } }, required: ["n"], additionalProperties: false });

export default checked(() => same([validate({ n: 1 }), validate({ n: 0, x: 1 }), validate.errors?.length], [true, false, 2]));
