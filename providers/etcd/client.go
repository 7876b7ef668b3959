package etcd

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/stats"

	"fairlead.dev"
)

const (
	// attempts bounds how often etcd's client makes one call: reads, and
	// writes that were refused because the login had run out.
	attempts = 3
	// pingAfter is how long a connection may be silent while somebody waits
	// before it is tested. gRPC takes no less, servers refuse more than one in
	// five seconds.
	pingAfter   = 10 * time.Second
	pingTimeout = 2 * time.Second
)

// connect makes the client. ctx bounds the login, not the client's life.
func (p *provider) connect(ctx context.Context) error {
	defer context.AfterFunc(ctx, p.end)()
	c := p.config
	client, err := clientv3.New(clientv3.Config{
		Endpoints: c.urls(), Username: c.user, Password: c.password, TLS: c.tls,
		DialTimeout:       c.dialTimeout,
		DialKeepAliveTime: pingAfter, DialKeepAliveTimeout: pingTimeout,
		MaxUnaryRetries: attempts,
		Context:         p.life,
		Logger:          zap.NewNop(),
		DialOptions:     c.dialOptions(),
	})
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return mapErr(err, false)
	}
	p.client = client
	p.kv, p.lease = clientv3.RetryKVClient(client), pb.NewLeaseClient(client.ActiveConnection())
	p.watch, p.cluster = pb.NewWatchClient(client.ActiveConnection()), pb.NewClusterClient(client.ActiveConnection())
	return nil
}

func (c config) dialOptions() []grpc.DialOption {
	options := []grpc.DialOption{
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: c.dialTimeout,
		}),
		grpc.WithStatsHandler(sentHandler{}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)),
	}
	if c.tls != nil && c.tls.ServerName != "" {
		options = append(options, grpc.WithTransportCredentials(newNamedCredentials(c.tls)))
	}
	return options
}

// sentKey is the context key of a call's flag.
type sentKey struct{}

// sentHandler raises the flag of a call as soon as gRPC has taken its request
// for sending: until then the server cannot have seen it.
type sentHandler struct{}

func (sentHandler) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (sentHandler) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.OutPayload); !ok {
		return
	}
	if flag, ok := ctx.Value(sentKey{}).(*atomic.Bool); ok {
		flag.Store(true)
	}
}

func (sentHandler) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (sentHandler) HandleConn(context.Context, stats.ConnStats)                       {}

// do makes a call that may be repeated, and bounds it.
func (p *provider) do(ctx context.Context, f func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, p.config.requestTimeout)
	defer cancel()
	return p.ended(ctx, bounded, mapErr(f(bounded), false))
}

// change makes a call that writes, and bounds it: without an answer its outcome
// is unknown, unless it was not sent.
func (p *provider) change(ctx context.Context, f func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, p.config.requestTimeout)
	defer cancel()
	var sent atomic.Bool
	err := f(context.WithValue(bounded, sentKey{}, &sent))
	return p.ended(ctx, bounded, mapErr(err, sent.Load()))
}

// ended says what an error means that came because somebody gave up: the
// caller, whose context is ctx, or the provider itself. The server knows the
// deadline, and may be the first to say that it has passed.
func (p *provider) ended(ctx, bounded context.Context, err error) error {
	code := fairlead.CodeOf(err)
	switch {
	case code != fairlead.Canceled && code != fairlead.DeadlineExceeded && code != fairlead.Unavailable:
		return err
	case ctx.Err() != nil:
		return fairlead.ContextError(ctx)
	case p.life.Err() != nil:
		return errClosed
	case code == fairlead.Unavailable:
		return err
	}
	limit, _ := bounded.Deadline()
	if own, ok := ctx.Deadline(); ok && !limit.Before(own) {
		return fairlead.Errorf(fairlead.DeadlineExceeded, "%w", context.DeadlineExceeded)
	}
	return fairlead.Errorf(fairlead.Unavailable, "no answer within %v, the \"request-timeout\"", p.config.requestTimeout)
}

// streamEnded says what an error means that ended a stream: ctx, which is the
// caller's, or the server. That one ends the streams whose deadline has passed,
// maybe before ctx tells, and calls it canceled.
func streamEnded(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fairlead.ContextError(ctx)
	}
	mapped := mapErr(err, false)
	if code := fairlead.CodeOf(mapped); code != fairlead.Canceled && code != fairlead.DeadlineExceeded {
		return mapped
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return fairlead.Errorf(fairlead.DeadlineExceeded, "%w", context.DeadlineExceeded)
	}
	return fairlead.Errorf(fairlead.Unavailable, "the server ended the stream: %s", rpctypes.ErrorDesc(err))
}

// txn carries out a transaction.
func (p *provider) txn(ctx context.Context, r *pb.TxnRequest) (resp *pb.TxnResponse, err error) {
	err = p.change(ctx, func(ctx context.Context) (err error) {
		resp, err = p.kv.Txn(ctx, r)
		return err
	})
	return resp, err
}

// put writes a key, and answers as a transaction of that one put does.
func (p *provider) put(ctx context.Context, r *pb.PutRequest) (*pb.TxnResponse, error) {
	var resp *pb.PutResponse
	err := p.change(ctx, func(ctx context.Context) (err error) {
		resp, err = p.kv.Put(ctx, r)
		return err
	})
	return &pb.TxnResponse{Header: resp.GetHeader(), Succeeded: true}, err
}

// readTxn carries out a transaction that writes nothing.
func (p *provider) readTxn(ctx context.Context, r *pb.TxnRequest) (resp *pb.TxnResponse, err error) {
	err = p.do(ctx, func(ctx context.Context) (err error) {
		resp, err = p.kv.Txn(ctx, r)
		return err
	})
	return resp, err
}

// get reads a range, linearizably.
func (p *provider) get(ctx context.Context, r *pb.RangeRequest) (resp *pb.RangeResponse, err error) {
	err = p.do(ctx, func(ctx context.Context) (err error) {
		resp, err = p.kv.Range(ctx, r)
		return err
	})
	return resp, err
}
