// One call of the Node SDK, named by the first argument; prints what the SDK made of the answer as JSON.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.env.GATEWAY_URL, apiKey: process.env.GATEWAY_KEY, maxRetries: 0 });
const messages = [{ role: "user", content: "It was a bright cold day" }];
const tools = [
  {
    type: "function",
    function: {
      name: "note",
      parameters: { type: "object", properties: { text: { type: "string" } }, required: ["text"] },
    },
  },
];

const calls = {
  async plain() {
    const { data, response } = await client.chat.completions.create({ model: "echo", messages }).withResponse();
    const choice = data.choices[0];
    return {
      content: choice.message.content,
      finishReason: choice.finish_reason,
      tokens: data.usage.total_tokens,
      provider: response.headers.get("x-penstock-provider"),
      requestId: data._request_id,
    };
  },

  async stream() {
    const stream = await client.chat.completions.create({
      model: "echo",
      messages,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    return {
      content: chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join(""),
      chunks: chunks.length,
      tokens: chunks.at(-1).usage.total_tokens,
    };
  },

  async tool() {
    const first = await client.chat.completions.create({ model: "echo-tool", messages, tools });
    const { message } = first.choices[0];
    const answer = { role: "tool", tool_call_id: message.tool_calls[0].id, content: "noted" };
    const second = await client.chat.completions.create({
      model: "echo-tool",
      messages: [...messages, message, answer],
      tools,
    });
    return { call: message.tool_calls[0].function, content: second.choices[0].message.content };
  },

  async streamedTool() {
    const runner = client.chat.completions.stream({ model: "echo-tool", messages, tools });
    const completion = await runner.finalChatCompletion();
    return { call: completion.choices[0].message.tool_calls[0].function };
  },

  async refused() {
    try {
      await client.chat.completions.create({ model: "no/such", messages });
    } catch (error) {
      return { kind: error.constructor.name, status: error.status, code: error.code, requestId: error.requestID };
    }
  },

  async leave() {
    const stream = await client.chat.completions.create({
      model: "num-n1000-g50",
      messages: [{ role: "user", content: "node-left" }],
      stream: true,
    });
    for await (const chunk of stream) {
      if (chunk.choices[0].delta.content) break;
    }
    return { left: true };
  },
};

console.log(JSON.stringify(await calls[process.argv[2]]()));
