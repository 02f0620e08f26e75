import { number, object, string } from "yup";
import { checked, same } from "./_check";

export default checked(async () => {
  const schema = object({ name: string().required(), age: number().min(18) });
  same(await schema.validate({ name: "a", age: "20" }), { age: 20, name: "a" });
  same(await schema.validate({ age: 1 }, { abortEarly: false }).catch((error) => error.errors.length), 2);
});
