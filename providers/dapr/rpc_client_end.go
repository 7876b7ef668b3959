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

// smallCall is the size up to which the first frames of a call are sent at once:
// a new gRPC stream accepts more than that without waiting for the other side.
const smallCall = 16 << 10

var bidirectional = &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}

// clientEnd is the client's end of a call.
type clientEnd struct {
	callEnd
	p                *provider
	stream           grpc.ClientStream
	headersDelivered bool // the headers were delivered
	serverAnswered   bool // a server has sent something
}

// OpenStream implements [driver.Carrier].
func (p *provider) OpenStream(ctx context.Context, c driver.StreamConfig) (driver.Stream, error) {
	if err := p.life.Check(ctx); err != nil {
		return nil, err
	}
	call, end := p.callContext(c)
	stop := context.AfterFunc(ctx, end) // until the stream is open
	stream, err := p.conn.NewStream(call, bidirectional, c.Call.Method, grpc.ForceCodecV2(rawCodec{}))
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		end()
		return nil, p.explainEnd(ctx, err)
	}
	e := &clientEnd{callEnd: callEnd{credit: driver.Window, onEnd: end}, p: p, stream: stream}
	e.onSend = func() { go e.send() }
	e.sendFirst(c.InitialFrames)
	go e.receive(end)
	return e, nil
}

// callContext returns the context of a gRPC stream. It lasts until the call
// ends, at most for the timeout of the call.
func (p *provider) callContext(c driver.StreamConfig) (context.Context, context.CancelFunc) {
	md := toMetadata(c.Call.Metadata)
	md.Set(appHeader, p.appOf(c.Service))
	md.Set(serviceHeader, c.Service)
	md.Set(streamHeader, "true") // otherwise the resiliency policies of the runtime repeat calls
	if n := len(c.InitialFrames); n > 0 && c.InitialFrames[n-1].Kind == driver.FrameHalfClose && payloadSize(c.InitialFrames) <= smallCall {
		md.Set(wholeHeader, "1")
	}
	ctx := metadata.NewOutgoingContext(p.life.Context(), md)
	if c.Call.Timeout > 0 {
		return context.WithTimeout(ctx, c.Call.Timeout)
	}
	return context.WithCancel(ctx)
}

// sendFirst sends the first frames.
func (e *clientEnd) sendFirst(first []driver.Frame) {
	if payloadSize(first) > smallCall {
		_ = e.Send(context.Background(), first) // the call cannot have ended yet
		return
	}
	for _, f := range first {
		e.sendFrame(f)
	}
}

func payloadSize(frames []driver.Frame) (n int) {
	for _, f := range frames {
		n += len(f.Payload)
	}
	return n
}

// send empties the outbox.
func (e *clientEnd) send() {
	for {
		frames, ok := e.nextFrames()
		if !ok {
			return
		}
		for _, f := range frames {
			e.sendFrame(f)
		}
		if e.stopSendingIfEmpty() {
			return
		}
	}
}

// sendFrame puts a frame into the gRPC stream. If that has ended, receive gets
// the reason.
func (e *clientEnd) sendFrame(f driver.Frame) {
	switch f.Kind {
	case driver.FrameMessage:
		if e.stream.SendMsg(&f.Payload) == nil {
			e.returnCredit(f)
		}
	case driver.FrameHalfClose:
		_ = e.stream.CloseSend()
	}
}

// receive delivers the messages of the server until the call ends.
func (e *clientEnd) receive(end context.CancelFunc) {
	defer end()
	md, _ := e.stream.Header() // RecvMsg returns the error again
	if fields := fromMetadata(md); len(fields) > 0 {
		// Headers without a field may be from the sidecar: then it is not known
		// yet whether a server has the call.
		e.headersDelivered, e.serverAnswered = true, true
		e.deliver(driver.Frame{Kind: driver.FrameHeaders, Metadata: fields})
	}
	for e.waitForCredit() {
		var payload []byte
		if err := e.stream.RecvMsg(&payload); err != nil {
			e.finishCall(err)
			return
		}
		e.serverAnswered = true
		e.deliver(driver.Frame{Kind: driver.FrameMessage, Payload: payload})
	}
}

// finishCall delivers how the call has ended.
func (e *clientEnd) finishCall(err error) {
	trailer := e.stream.Trailer()
	switch {
	case e.p.life.Err() != nil:
		e.finish(e.p.life.Err())
	case len(trailer[unservedTrailer]) > 0 || !e.serverAnswered && isUnknownApp(err):
		e.finish(fairlead.Errorf(fairlead.NotFound, "no server has received the call: %s", status.Convert(err).Message()))
	default:
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if header := headersFromTrailer(trailer); len(header) > 0 && !e.headersDelivered {
			e.deliver(driver.Frame{Kind: driver.FrameHeaders, Metadata: header})
		}
		e.finish(errStreamClosed, driver.Frame{Kind: driver.FrameTrailers, Metadata: fromMetadata(trailer), Status: toStatus(err)})
	}
}
