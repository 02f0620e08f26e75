import Joi from "joi";
import { checked, same } from "./_check";

export default checked(() => same([Joi.object({ a: Joi.number() }).validate({ a: "1" }).value, Joi.string().email().validate("x").error?.name], [{ a: 1 }, "ValidationError"]));
