package etcd

import (
	"context"
	"math"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"fairlead.dev"
	"fairlead.dev/providers/grpcsent"
)

const (
	// attempts bounds how often etcd's client makes one call: a read, or a
	// write that was refused because the login had expired.
	attempts = 3
	// pingAfter is how long a connection may be silent during a call before it
	// is tested. gRPC allows no shorter time, and servers refuse more than one
	// test in five seconds.
	pingAfter   = 10 * time.Second
	pingTimeout = 2 * time.Second
)

// connect makes the client. ctx bounds the login, not the client's life.
func (p *provider) connect(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { p.life.End() })()
	c := p.config
	if err := p.tryEndpoints(ctx); err != nil {
		return err
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: c.urls(), Username: c.user, Password: c.password.Reveal(), TLS: c.tls,
		DialTimeout:       c.dialTimeout,
		DialKeepAliveTime: pingAfter, DialKeepAliveTimeout: pingTimeout,
		MaxUnaryRetries: attempts,
		Context:         p.life.Context(),
		Logger:          zap.NewNop(),
		DialOptions:     c.dialOptions(),
	})
	if err != nil {
		return p.loginError(ctx, err)
	}
	p.client = client
	p.kv, p.lease = clientv3.RetryKVClient(client), pb.NewLeaseClient(client.ActiveConnection())
	p.watch, p.cluster = pb.NewWatchClient(client.ActiveConnection()), pb.NewClusterClient(client.ActiveConnection())
	return nil
}

// loginError returns the error of a client that could not be made: it logs in.
func (p *provider) loginError(ctx context.Context, err error) error {
	if err := fairlead.ContextError(ctx); err != nil {
		return err
	}
	mapped := mapErr(err, false)
	if code := fairlead.CodeOf(mapped); code == fairlead.DeadlineExceeded || code == fairlead.Canceled {
		return fairlead.Errorf(fairlead.Unavailable, "no answer to the login within %v, the \"dial-timeout\"", p.config.dialTimeout)
	}
	return mapped
}

func (c config) dialOptions() []grpc.DialOption {
	options := []grpc.DialOption{
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: c.dialTimeout,
		}),
		grpc.WithStatsHandler(grpcsent.Handler{}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)),
	}
	if c.tls != nil && c.tls.ServerName != "" {
		options = append(options, grpc.WithTransportCredentials(newNamedCredentials(c.tls)))
	}
	return options
}

// streamEnded returns what an error that ended a stream means: either ctx, the
// caller's context, has ended, or the server ended the stream. The server ends
// streams whose deadline has passed, possibly before ctx ends, and reports that as
// a cancellation.
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

// commitTxn carries out a transaction that writes.
func (p *provider) commitTxn(ctx context.Context, r *pb.TxnRequest) (resp *pb.TxnResponse, err error) {
	err = p.calls.Write(ctx, func(ctx context.Context) (err error) {
		resp, err = p.kv.Txn(ctx, r)
		return err
	})
	return resp, err
}

// putKey writes a key. It returns the response of a transaction with this one put.
func (p *provider) putKey(ctx context.Context, r *pb.PutRequest) (*pb.TxnResponse, error) {
	var resp *pb.PutResponse
	err := p.calls.Write(ctx, func(ctx context.Context) (err error) {
		resp, err = p.kv.Put(ctx, r)
		return err
	})
	answer := &pb.TxnResponse{Header: resp.GetHeader(), Succeeded: true}
	if resp.GetPrevKv() != nil {
		answer.Responses = []*pb.ResponseOp{{Response: &pb.ResponseOp_ResponsePut{ResponsePut: resp}}}
	}
	return answer, err
}

// readTxn carries out a transaction that writes nothing.
func (p *provider) readTxn(ctx context.Context, r *pb.TxnRequest) (resp *pb.TxnResponse, err error) {
	err = p.calls.Read(ctx, func(ctx context.Context) (err error) {
		resp, err = p.kv.Txn(ctx, r)
		return err
	})
	return resp, err
}

// readRange reads a range, linearizably.
func (p *provider) readRange(ctx context.Context, r *pb.RangeRequest) (resp *pb.RangeResponse, err error) {
	err = p.calls.Read(ctx, func(ctx context.Context) (err error) {
		resp, err = p.kv.Range(ctx, r)
		return err
	})
	return resp, err
}
