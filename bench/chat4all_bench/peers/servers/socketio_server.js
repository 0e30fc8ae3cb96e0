// The npm package `socket.io`, over WebSockets only: its own rooms and acknowledgements.
//
// A message is acknowledged when it has been written to the sockets of the room's other members.

'use strict';

const { createServer } = require('node:http');
const { Server } = require('socket.io');

const http = createServer();
const io = new Server(http, { transports: ['websocket'], serveClient: false });

io.engine.on('connection', (raw) => {
  raw.request = null; // as its page on memory usage says
});

io.on('connection', (socket) => {
  socket.on('join', (name, done) => {
    socket.data.room = name;
    socket.join(name);
    done();
  });
  socket.on('message', (text, done) => {
    socket.to(socket.data.room).emit('message', text);
    done();
  });
  socket.on('echo', (text, done) => done(text));
});

http.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () =>
  console.log(`listening on http://127.0.0.1:${http.address().port}`),
);
