// The npm package `ws`: a loop over a room's members, who share one frame.

'use strict';

const { WebSocketServer, Sender, OPEN } = require('ws');

const rooms = new Map();

function echo(socket) {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
}

function room(socket) {
  let members;
  socket.on('message', (data, isBinary) => {
    if (members === undefined) {
      const name = data.toString();
      if (!rooms.has(name)) rooms.set(name, new Set());
      members = rooms.get(name);
      members.add(socket);
      socket.send(data, { binary: isBinary });
      return;
    }
    // `socket.send` would frame the message once for each member; this is how socket.io shares it.
    const opcode = isBinary ? 2 : 1;
    const frame = Sender.frame(data, { fin: true, rsv1: false, opcode, mask: false, readOnly: true });
    for (const member of members) {
      if (member.readyState === OPEN) member._sender.sendFrame(frame);
    }
  });
  socket.on('close', () => members?.delete(socket));
}

const server = new WebSocketServer(
  { host: '127.0.0.1', port: 0, backlog: 4096, perMessageDeflate: false, clientTracking: false },
  () => console.log(`listening on http://127.0.0.1:${server.address().port}`),
);
server.on('connection', (socket, request) => (request.url === '/echo' ? echo : room)(socket));
