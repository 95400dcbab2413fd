// Talks to an agent in one dialect and prints what it heard as one line of JSON.
// node client.mjs <url of the server> <agent> <version> <binding> [<what to send> <what to stream>]
import { ClientFactory, JsonRpcTransportFactory, RestTransportFactory } from '@a2a-js/sdk/client';
import { randomUUID } from 'node:crypto';

const [base, agent, version, binding, first = 'hello', second = 'stream'] = process.argv.slice(2);
const legacyCompat = { enabled: true };
const factory = new ClientFactory({
  transports: [new JsonRpcTransportFactory({ legacyCompat }), new RestTransportFactory({ legacyCompat })],
  preferredTransports: [binding],
});

async function connect() {
  const url = `${base}/a2a/${agent}`;
  if (version === '0.3') {
    const card = await (await fetch(`${base}/a2a/${agent}/.well-known/agent-card.json`)).json();
    card.supportedInterfaces = card.supportedInterfaces.filter(
      (one) => one.protocolVersion === version && one.protocolBinding === binding,
    );
    const { AgentCard } = await import('@a2a-js/sdk');
    return factory.createFromAgentCard(AgentCard.fromJSON(card));
  }
  return factory.createFromUrl(url, `/a2a/${agent}/.well-known/agent-card.json`);
}

function saying(text) {
  return {
    tenant: '',
    message: {
      messageId: randomUUID(),
      contextId: '',
      taskId: '',
      role: 1,
      parts: [{ content: { $case: 'text', value: text }, filename: '', mediaType: 'text/plain', metadata: undefined }],
      metadata: undefined,
      extensions: [],
      referenceTaskIds: [],
    },
    configuration: undefined,
    metadata: undefined,
  };
}

const client = await connect();
const sent = await client.sendMessage(saying(first));
const heard = [];
for await (const item of client.sendMessageStream(saying(second))) heard.push(item);
console.log(JSON.stringify({ sent, heard }));
