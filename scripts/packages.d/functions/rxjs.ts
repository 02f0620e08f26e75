import { firstValueFrom, interval, map, take, toArray } from "rxjs";
import { checked, same } from "./_check";

export default checked(async () => same(await firstValueFrom(interval(1).pipe(take(3), map((n) => n * 2), toArray())), [0, 2, 4]));
