package carrier

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"fairlead.dev/rpc/driver"
	"fairlead.dev/rpc/internal/transport"
)

var _ grpc.ServerTransportStream = (*localCall)(nil)

// localServers are the servers that take unary calls of their own process without
// frames, by their listeners.
var localServers sync.Map // driver.Listener → *Server

// registerLocal adds the server to localServers if all its clients are in this
// process. unregister removes it.
func (s *Server) registerLocal(l driver.Listener) (unregister func()) {
	if _, ok := s.carrier.(driver.Local); !ok || protobuf == nil {
		return func() {}
	}
	localServers.Store(l, s)
	return func() { localServers.Delete(l) }
}

// isLocal reports whether a listener belongs to a local server. It is false
// before the server serves.
func isLocal(l driver.Listener) bool {
	_, ok := localServers.Load(l)
	return ok
}

// nextLocalServer returns the server of this process that takes the call. It
// returns nil if the call goes over the carrier, or fails there. The caller ends
// the call with endCall.
func (c *clientCall) nextLocalServer() (*Server, method) {
	if c.conn.local == nil || !c.codec.isPlainProtobuf() {
		return nil, method{}
	}
	l, err := c.conn.local.NextListener(c.ctx, c.conn.service, isLocal)
	if l == nil || err != nil {
		return nil, method{}
	}
	found, ok := localServers.Load(l)
	if !ok {
		return nil, method{} // the server stopped in between
	}
	s := found.(*Server)
	m := s.methods[c.config.Call.Method]
	if m.unary == nil || !s.beginCall() {
		return nil, method{}
	}
	return s, m
}

// localCall is a unary call within this process. Its handler has a goroutine of
// its own, because the caller does not wait for the handler when the caller's
// context ends.
type localCall struct {
	responseMetadata
	call    *clientCall
	server  *Server
	method  method
	request localMessage
	reply   any             // the caller's
	ctx     context.Context // parent of the handler's context
	cancel  context.CancelFunc

	using     sync.Mutex // held while a message of the caller is used
	abandoned bool       // the caller has returned; its messages must not be used

	done chan struct{} // closed when the call has ended
	err  error         // of the ended call
}

// invokeLocal makes a unary call to a server in this process. If made is false,
// it has done nothing.
func (c *clientCall) invokeLocal(args, reply any) (made bool, err error) {
	s, m := c.nextLocalServer()
	if s == nil {
		return false, nil
	}
	request, err := c.codec.wrapLocal(args)
	if err != nil {
		s.endCall()
		return true, c.abandon(err)
	}
	l := &localCall{call: c, server: s, method: m, request: request, reply: reply, done: make(chan struct{})}
	l.ctx, l.cancel = s.newCallContext(c.config.Call)
	s.workers.start(l)
	if err = l.waitForEnd(); l.abandoned {
		l.cancel()
	}
	c.finish(l, err)
	return true, err
}

// waitForEnd returns the error of the call, or the reason why the caller abandons
// it.
func (l *localCall) waitForEnd() error {
	select {
	case <-l.done:
		return l.err
	case <-l.call.ctx.Done():
		return l.abandon(contextError(l.call.ctx))
	case <-l.call.conn.localLife.Done():
		if l.call.conn.life.Err() != nil {
			return l.abandon(errConnClosed)
		}
		return l.abandon(errProviderClosed)
	case <-l.server.life.Done():
		return l.abandon(errServerStopped)
	}
}

// abandon gives the call up, unless it has ended. Both can happen at once: the
// last call of a server that is stopped gracefully ends together with the server.
func (l *localCall) abandon(reason error) error {
	l.using.Lock()
	defer l.using.Unlock()
	select {
	case <-l.done:
		return l.err
	default:
		l.abandoned = true
		return reason
	}
}

// run implements runner.
func (l *localCall) run() {
	err := errHandlerExited
	defer func() { // also after a runtime.Goexit
		l.finish(l.server.callError(err))
		l.cancel()
		l.server.endCall()
	}()
	err = l.runHandler(grpc.NewContextWithServerTransportStream(l.ctx, l))
}

func (l *localCall) runHandler(ctx context.Context) (err error) {
	if err := l.server.Handle.Requirements.Check(); err != nil {
		return transport.StatusError(err)
	}
	defer transport.RecoverPanic(ctx, l.Method(), &err)
	reply, err := l.method.unary.Handler(l.method.impl, ctx, l.decodeRequest, l.server.unary)
	if err != nil {
		return err
	}
	return l.deliverReply(reply)
}

// decodeRequest copies the caller's request into the handler's.
func (l *localCall) decodeRequest(m any) error {
	l.using.Lock()
	defer l.using.Unlock()
	if l.abandoned {
		return errClientGone
	}
	return l.server.codec.unwrapLocal(l.request, m)
}

// deliverReply copies the handler's reply into the caller's. It returns an error
// of the server's codec; an error of the caller's codec becomes the error of the
// call.
func (l *localCall) deliverReply(reply any) error {
	p, err := l.server.codec.wrapLocal(reply)
	if err != nil {
		return err
	}
	l.using.Lock()
	defer l.using.Unlock()
	if l.abandoned {
		return errClientGone
	}
	l.err = l.call.codec.unwrapLocal(p, l.reply)
	return nil
}

// finish ends the call.
func (l *localCall) finish(err error) {
	l.using.Lock()
	defer l.using.Unlock()
	if err != nil {
		if l.err = errorFromStatus(statusFromError(err)); l.err == nil {
			l.err = errNoReply // a status error with code OK is a success without a reply
		}
	}
	l.takeHeader(false)
	close(l.done)
}

// header implements receivedMetadata.
func (l *localCall) header() metadata.MD { return metadataFromFields(l.sentHeader()) }

// trailer implements receivedMetadata.
func (l *localCall) trailer() metadata.MD {
	if l.abandoned {
		return nil
	}
	return metadataFromFields(l.trailerFields())
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
