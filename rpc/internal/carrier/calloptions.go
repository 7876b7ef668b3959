package carrier

import (
	"context"
	"math"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"fairlead.dev/rpc/driver"
	"fairlead.dev/rpc/internal/transport"
)

// defaultMaxSend is gRPC's own limit for a sent message, in bytes.
const defaultMaxSend = math.MaxInt32

// callOptions are the call options that have an effect.
type callOptions struct {
	maxRecv, maxSend int
	headers          []*metadata.MD
	trailers         []*metadata.MD
	peers            []*peer.Peer
	onFinish         []func(error)
	encoding         encoding.CodecV2 // nil for protobuf
	compressor       encoding.Compressor
	waitForReady     bool
	credentials      []credentials.PerRPCCredentials
}

// newCallOptions fails with Unimplemented for an option that it does not know
// and that would change the call: the option must not be ignored.
func newCallOptions(opts []grpc.CallOption) (callOptions, error) {
	c := callOptions{maxRecv: transport.DefaultMaxRecvMsgSize, maxSend: defaultMaxSend}
	for _, opt := range opts {
		if err := c.applyOption(opt); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c *callOptions) applyOption(opt grpc.CallOption) error {
	switch o := opt.(type) {
	case grpc.EmptyCallOption, grpc.StaticMethodCallOption, grpc.MaxRetryRPCBufferSizeCallOption:
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
		c.waitForReady = !o.FailFast
	case grpc.PerRPCCredsCallOption:
		c.credentials = append(c.credentials, o.Creds)
	case grpc.CompressorCallOption:
		return c.setCompressor(o.CompressorType)
	case grpc.ContentSubtypeCallOption:
		if c.encoding = codecNamed(o.ContentSubtype); c.encoding == nil {
			return status.Errorf(codes.Internal, "no codec registered for content-subtype %s", o.ContentSubtype)
		}
	case grpc.ForceCodecCallOption:
		c.encoding = codecV1{o.Codec}
	case grpc.ForceCodecV2CallOption:
		c.encoding = o.CodecV2
	default:
		return status.Errorf(codes.Unimplemented, "the call option %T is not supported over this connection; leave it out", opt)
	}
	return nil
}

func (c *callOptions) setCompressor(name string) error {
	c.compressor = nil
	if name == "" || name == encoding.Identity {
		return nil
	}
	if c.compressor = encoding.GetCompressor(name); c.compressor == nil {
		return status.Errorf(codes.Internal, "grpc: Compressor is not installed for requested grpc-encoding %q", name)
	}
	return nil
}

// newCodec returns the codec of the call.
func (c *callOptions) newCodec(frameLimit int) codec {
	out := newCodec(c.maxSend, c.maxRecv, frameLimit)
	out.compressor = c.compressor
	if c.encoding != nil {
		out.encoding = c.encoding
	}
	return out
}

// credentialFields returns the metadata of the call's credentials.
func (c *callOptions) credentialFields(ctx context.Context, service, method string) ([]driver.Field, error) {
	var fields []driver.Field
	for _, creds := range c.credentials {
		if creds.RequireTransportSecurity() {
			return nil, status.Errorf(codes.Unauthenticated,
				"the credentials %T require transport security, which the provider's connection does not guarantee", creds)
		}
		md, err := creds.GetRequestMetadata(ctx, "https://"+service+method[:strings.LastIndexByte(method, '/')])
		if err != nil {
			return nil, credentialsError(err)
		}
		more, err := fieldsFromMetadata(metadata.New(md))
		if err != nil {
			return nil, err
		}
		fields = append(fields, more...)
	}
	return fields, nil
}

// credentialsError returns the error that gRPC returns for it.
func credentialsError(err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.Errorf(codes.Internal, "transport: per-RPC creds failed due to error: %v", err)
}

// receivedMetadata is the metadata that a server has sent.
type receivedMetadata interface {
	header() metadata.MD
	trailer() metadata.MD
}

// reportOutcome passes the outcome of a call to the options that ask for it.
func (c *callOptions) reportOutcome(md receivedMetadata, p peer.Peer, err error) {
	for _, h := range c.headers {
		*h = md.header()
	}
	for _, t := range c.trailers {
		*t = md.trailer()
	}
	for _, addr := range c.peers {
		*addr = p
	}
	for _, f := range c.onFinish {
		f(err)
	}
}
