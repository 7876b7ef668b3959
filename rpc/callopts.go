package rpc

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// callOptions are the call options that are heeded.
type callOptions struct {
	maxRecv, maxSend int
	headers          []*metadata.MD
	trailers         []*metadata.MD
	peers            []*peer.Peer
	onFinish         []func(error)
}

// newCallOptions fails with Unimplemented for an option that would change the
// call and is not heeded: to ignore it would be worse.
func newCallOptions(opts []grpc.CallOption) (callOptions, error) {
	c := callOptions{maxRecv: defaultMaxRecv, maxSend: defaultMaxSend}
	for _, opt := range opts {
		if err := c.add(opt); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c *callOptions) add(opt grpc.CallOption) error {
	switch o := opt.(type) {
	case grpc.EmptyCallOption, grpc.StaticMethodCallOption:
	case grpc.HeaderCallOption:
		c.headers = append(c.headers, o.HeaderAddr)
	case grpc.TrailerCallOption:
		c.trailers = append(c.trailers, o.TrailerAddr)
	case grpc.PeerCallOption:
		c.peers = append(c.peers, o.PeerAddr)
	case grpc.OnFinishCallOption:
		c.onFinish = append(c.onFinish, o.OnFinish)
	case grpc.MaxRecvMsgSizeCallOption:
		c.maxRecv = o.MaxRecvMsgSize
	case grpc.MaxSendMsgSizeCallOption:
		c.maxSend = o.MaxSendMsgSize
	case grpc.FailFastCallOption:
		if !o.FailFast {
			return status.Error(codes.Unimplemented, "the call option WaitForReady(true) is not supported over this connection")
		}
	default:
		return status.Errorf(codes.Unimplemented, "the call option %T is not supported over this connection", opt)
	}
	return nil
}

// finish gives the outcome of a call to whoever asked for it. The session is
// nil if the call did not begin.
func (c *callOptions) finish(s *session, p peer.Peer, err error) {
	for _, h := range c.headers {
		*h = s.header()
	}
	for _, t := range c.trailers {
		*t = s.trailer()
	}
	for _, addr := range c.peers {
		*addr = p
	}
	for _, f := range c.onFinish {
		f(err)
	}
}
