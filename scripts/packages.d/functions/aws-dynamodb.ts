// package: @aws-sdk/client-dynamodb
import { DynamoDBClient, GetItemCommand } from "@aws-sdk/client-dynamodb";
import { checked, same } from "./_check";

export default checked(async () => {
  const client = new DynamoDBClient({ region: "eu-west-1", credentials: { accessKeyId: "none", secretAccessKey: "none" }, maxAttempts: 1 });
  const error = await client.send(new GetItemCommand({ TableName: "t", Key: { id: { S: "1" } } })).catch((error) => error);
  // The request was made and signed; the host is not allowed.
  same(error.message.includes("dynamodb.eu-west-1.amazonaws.com is not in `allow_hosts`"), true);
});
