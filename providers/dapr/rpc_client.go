package dapr

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/rpc/driver"
)

// smallCall is the size up to which the first frames of a call go out at once:
// a new stream of gRPC takes more without waiting for anybody.
const smallCall = 16 << 10

var bothWays = &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}

// clientEnd is the client's end of a call.
type clientEnd struct {
	bridge
	p      *provider
	stream grpc.ClientStream
	headed bool // the headers have come
	seen   bool // something has come
}

// OpenStream implements [driver.Carrier].
func (p *provider) OpenStream(ctx context.Context, c driver.StreamConfig) (driver.Stream, error) {
	if err := p.usable(ctx); err != nil {
		return nil, err
	}
	life, end := p.callContext(c)
	stop := context.AfterFunc(ctx, end) // while it is being opened
	stream, err := p.conn.NewStream(life, bothWays, c.Call.Method, grpc.ForceCodecV2(rawCodec{}))
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		end()
		return nil, p.ended(ctx, life, mapErr(err, false))
	}
	e := &clientEnd{bridge: bridge{credit: driver.Window, onEnd: end}, p: p, stream: stream}
	e.onSend = func() { go e.send() }
	e.begin(c.InitialFrames)
	go e.receive(end)
	return e, nil
}

// callContext is that of a gRPC stream: it lasts until the call ends, at most
// for the time that its caller gives it.
func (p *provider) callContext(c driver.StreamConfig) (context.Context, context.CancelFunc) {
	md := toMetadata(c.Call.Metadata)
	md.Set(appHeader, p.appOf(c.Service))
	md.Set(serviceHeader, c.Service)
	md.Set(streamHeader, "true") // else the runtime repeats calls by its resiliency policies
	if n := len(c.InitialFrames); n > 0 && c.InitialFrames[n-1].Kind == driver.FrameHalfClose && size(c.InitialFrames) <= smallCall {
		md.Set(wholeHeader, "1")
	}
	ctx := metadata.NewOutgoingContext(p.life, md)
	if c.Call.Timeout > 0 {
		return context.WithTimeout(ctx, c.Call.Timeout)
	}
	return context.WithCancel(ctx)
}

// begin sends the first frames.
func (e *clientEnd) begin(first []driver.Frame) {
	if size(first) > smallCall {
		_ = e.Send(context.Background(), first) // it has not ended yet
		return
	}
	for _, f := range first {
		e.put(f)
	}
}

func size(frames []driver.Frame) (n int) {
	for _, f := range frames {
		n += len(f.Payload)
	}
	return n
}

// send empties the outbox.
func (e *clientEnd) send() {
	for {
		frames, ok := e.next()
		if !ok {
			return
		}
		for _, f := range frames {
			e.put(f)
		}
		if e.idle() {
			return
		}
	}
}

// put puts a frame into the gRPC stream. If that has ended, receive learns why.
func (e *clientEnd) put(f driver.Frame) {
	switch f.Kind {
	case driver.FrameMessage:
		if e.stream.SendMsg(&f.Payload) == nil {
			e.giveBack(f)
		}
	case driver.FrameHalfClose:
		_ = e.stream.CloseSend()
	}
}

// receive takes what the server sends until the call ends.
func (e *clientEnd) receive(end context.CancelFunc) {
	defer end()
	md, _ := e.stream.Header() // an error comes again from RecvMsg
	if fields := fromMetadata(md); len(fields) > 0 {
		// Headers without a field may be the sidecar's: whether a server has the
		// call is then still open.
		e.headed, e.seen = true, true
		e.deliver(driver.Frame{Kind: driver.FrameHeaders, Metadata: fields})
	}
	for e.mayRead() {
		var payload []byte
		if err := e.stream.RecvMsg(&payload); err != nil {
			e.conclude(err)
			return
		}
		e.seen = true
		e.deliver(driver.Frame{Kind: driver.FrameMessage, Payload: payload})
	}
}

// conclude hands on how the call has ended.
func (e *clientEnd) conclude(err error) {
	trailer := e.stream.Trailer()
	switch {
	case e.p.life.Err() != nil:
		e.finish(errClosed)
	case len(trailer[unservedTrailer]) > 0 || !e.seen && nobody(err):
		e.finish(fairlead.Errorf(fairlead.NotFound, "no server has the call: %s", status.Convert(err).Message()))
	default:
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if header := held(trailer); len(header) > 0 && !e.headed {
			e.deliver(driver.Frame{Kind: driver.FrameHeaders, Metadata: header})
		}
		e.finish(errStreamClosed, driver.Frame{Kind: driver.FrameTrailers, Metadata: fromMetadata(trailer), Status: toStatus(err)})
	}
}
