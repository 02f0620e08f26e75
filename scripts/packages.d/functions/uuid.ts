import { v4, v5, v7, validate, version } from "uuid";
import { checked, same } from "./_check";

export default checked(() => same([validate(v4()), version(v7()), v5("hello.example.com", v5.DNS)], [true, 7, "fdda765f-fc57-5604-a269-52a7df8164ec"]));
