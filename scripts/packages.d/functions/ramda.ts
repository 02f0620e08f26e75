import * as R from "ramda";
import { checked, same } from "./_check";

export default checked(() => same(R.pipe(R.filter((n: number) => n > 1), R.map(R.multiply(2)))([1, 2, 3]), [4, 6]));
