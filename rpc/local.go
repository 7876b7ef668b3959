package rpc

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"fairlead.dev/rpc/driver"
)

var _ grpc.ServerTransportStream = (*localCall)(nil)

// neighbours are the servers that take calls of their own process without
// frames, by their listeners.
var neighbours sync.Map // driver.Listener → *carrierServer

// enterProcess makes the server a neighbour, if all its clients are in this
// process, until leave is called.
func (s *carrierServer) enterProcess(l driver.Listener) (leave func()) {
	if _, ok := s.carrier.(driver.Local); !ok || protobuf == nil {
		return func() {}
	}
	neighbours.Store(l, s)
	return func() { neighbours.Delete(l) }
}

// isNeighbour is false of the listener of a server that does not serve yet.
func isNeighbour(l driver.Listener) bool {
	_, ok := neighbours.Load(l)
	return ok
}

// neighbour returns the server of this process that takes the call, and nil if
// it goes the usual way, or fails there.
func (c *clientCall) neighbour() (*carrierServer, method) {
	if c.conn.local == nil || !c.codec.plain() {
		return nil, method{}
	}
	l, err := c.conn.local.NextListener(c.ctx, c.conn.service, isNeighbour)
	if l == nil || err != nil {
		return nil, method{}
	}
	found, ok := neighbours.Load(l)
	if !ok {
		return nil, method{} // it has just left
	}
	s := found.(*carrierServer)
	m := s.methods[c.config.Call.Method]
	if m.unary == nil || !s.begin() {
		return nil, method{}
	}
	return s, m
}

// localCall is a unary call within this process. Its handler has a goroutine of
// its own, since the caller does not wait for it when its context ends.
type localCall struct {
	outgoing
	call    *clientCall
	server  *carrierServer
	method  method
	request parcel
	reply   any             // the caller's
	ctx     context.Context // of the handler, but for l itself
	cancel  context.CancelFunc

	copying sync.Mutex // held while a message of the caller is used
	left    bool       // the caller is gone, and its messages with it

	done chan struct{} // closed when the call has ended
	err  error         // what the caller gets then
}

// invokeLocal makes a unary call of a server in this process. It has done
// nothing if made is false.
func (c *clientCall) invokeLocal(args, reply any) (made bool, err error) {
	s, m := c.neighbour()
	if s == nil {
		return false, nil
	}
	request, err := c.codec.pack(args)
	if err != nil {
		s.done()
		return true, c.abandon(err)
	}
	l := &localCall{call: c, server: s, method: m, request: request, reply: reply, done: make(chan struct{})}
	l.ctx, l.cancel = s.callContext(c.config.Call)
	s.workers.do(l)
	if err = l.wait(); l.left {
		l.cancel()
	}
	c.done(l, err)
	return true, err
}

// wait returns the outcome of the call, or why the caller leaves it.
func (l *localCall) wait() error {
	select {
	case <-l.done:
		return l.err
	case <-l.call.ctx.Done():
		return l.leave(contextError(l.call.ctx))
	case <-l.call.conn.localLife.Done():
		if l.call.conn.life.Err() != nil {
			return l.leave(errConnClosed)
		}
		return l.leave(errProviderClosed)
	case <-l.server.life.Done():
		return l.leave(errServerStopped)
	}
}

// leave gives the call up, unless it has ended: the last call of a server that
// is stopped gracefully ends at the same time as the server.
func (l *localCall) leave(reason error) error {
	l.copying.Lock()
	defer l.copying.Unlock()
	select {
	case <-l.done:
		return l.err
	default:
		l.left = true
		return reason
	}
}

// run carries the call out.
func (l *localCall) run() {
	err := errLeft
	defer func() { // also after a runtime.Goexit
		l.finish(l.server.outcome(err))
		l.cancel()
		l.server.done()
	}()
	err = l.handle(grpc.NewContextWithServerTransportStream(l.ctx, l))
}

func (l *localCall) handle(ctx context.Context) (err error) {
	if err := l.server.handle.Ready(); err != nil {
		return toRPCError(err)
	}
	defer catch(ctx, l.Method(), &err)
	reply, err := l.method.unary.Handler(l.method.impl, ctx, l.decode, l.server.unary)
	if err != nil {
		return err
	}
	return l.deliver(reply)
}

// decode gives the handler its request.
func (l *localCall) decode(m any) error {
	l.copying.Lock()
	defer l.copying.Unlock()
	if l.left {
		return errClientGone
	}
	return l.server.codec.unpack(l.request, m)
}

// deliver gives the caller its reply. What is wrong with it beyond the limits of
// the server is the caller's affair alone.
func (l *localCall) deliver(reply any) error {
	p, err := l.server.codec.pack(reply)
	if err != nil {
		return err
	}
	l.copying.Lock()
	defer l.copying.Unlock()
	if l.left {
		return errClientGone
	}
	l.err = l.call.codec.unpack(p, l.reply)
	return nil
}

// finish tells the caller the outcome.
func (l *localCall) finish(err error) {
	l.copying.Lock()
	defer l.copying.Unlock()
	if err != nil {
		if l.err = fromStatus(toStatus(err)); l.err == nil {
			l.err = errNoReply // an error that says OK is a success without a reply
		}
	}
	l.takeHeader(false)
	close(l.done)
}

// header implements receivedMetadata.
func (l *localCall) header() metadata.MD { return fromFields(l.sentHeader()) }

// trailer implements receivedMetadata.
func (l *localCall) trailer() metadata.MD {
	if l.left {
		return nil
	}
	return fromFields(l.takeTrailer())
}

// Method implements [grpc.ServerTransportStream].
func (l *localCall) Method() string { return l.call.config.Call.Method }

// SendHeader implements [grpc.ServerTransportStream].
func (l *localCall) SendHeader(md metadata.MD) error {
	err := l.SetHeader(md)
	if err == nil {
		l.takeHeader(true)
	}
	return err
}

// SetTrailer implements [grpc.ServerTransportStream].
func (l *localCall) SetTrailer(md metadata.MD) error { return l.addTrailer(md) }
