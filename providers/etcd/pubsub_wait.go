package etcd

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev/providers"
)

// awaitMessages returns when there may be messages: when a message was published or
// the group or broadcast has changed since the view without messages, or when a
// message comes again. The watch is only a hint: the caller reads what there is.
func (s *subscription) awaitMessages(ctx context.Context, idle idleness) error {
	bounded, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	if !idle.due.IsZero() { // not as a deadline, since the server's clock might reach it first
		defer time.AfterFunc(time.Until(idle.due), cancel).Stop()
	}
	if idle.settled != nil {
		defer context.AfterFunc(idle.settled, cancel)()
	}
	err := s.watchChanges(bounded, idle.revision+1)
	switch {
	case ctx.Err() != nil:
		return mapErr(ctx.Err(), false)
	case err == nil || bounded.Err() != nil:
		return nil
	default:
		providers.Pause(bounded, watchRetry)
		return streamEnded(ctx, err)
	}
}

// watchChanges returns when the topic or the group has changed since a
// revision.
func (s *subscription) watchChanges(ctx context.Context, revision int64) error {
	var requests []*pb.WatchCreateRequest
	for _, key := range [][]byte{s.keys.sequence, s.group} {
		if key != nil {
			requests = append(requests, &pb.WatchCreateRequest{Key: key, StartRevision: revision})
		}
	}
	return s.p.awaitChange(ctx, requests...)
}

// awaitChange returns when one of the watches shows an event, or was ended by
// the server.
func (p *provider) awaitChange(ctx context.Context, requests ...*pb.WatchCreateRequest) error {
	stream, err := p.watch.Watch(ctx)
	if err != nil {
		return err
	}
	for _, r := range requests {
		if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}}); err != nil {
			return err
		}
	}
	for {
		resp, err := stream.Recv()
		if err != nil || resp.Canceled || len(resp.Events) > 0 {
			return err
		}
	}
}
