package dapr

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"testing"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// fakeSidecar is a sidecar with one state component that knows etags. A test says
// what happens to a write.
type fakeSidecar struct {
	runtimev1.UnimplementedDaprServer
	// beforeSave is called with each write. If it returns an error, the write is
	// answered with it and not made.
	beforeSave func(context.Context) error

	mu     sync.Mutex
	values map[string][]byte
	etags  map[string]int
	saves  int
}

func (f *fakeSidecar) GetState(_ context.Context, r *runtimev1.GetStateRequest) (*runtimev1.GetStateResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.etags[r.GetKey()] == 0 {
		return &runtimev1.GetStateResponse{}, nil
	}
	return &runtimev1.GetStateResponse{Data: f.values[r.GetKey()], Etag: strconv.Itoa(f.etags[r.GetKey()])}, nil
}

func (f *fakeSidecar) SaveState(ctx context.Context, r *runtimev1.SaveStateRequest) (*emptypb.Empty, error) {
	f.mu.Lock()
	f.saves++
	f.mu.Unlock()
	if f.beforeSave != nil {
		if err := f.beforeSave(ctx); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, item := range r.GetStates() {
		known, _ := strconv.Atoi(item.GetEtag().GetValue())
		if known != f.etags[item.GetKey()] {
			return nil, status.Error(codes.Aborted, "possible etag mismatch")
		}
		f.values[item.GetKey()] = item.GetValue()
		f.etags[item.GetKey()]++
	}
	return &emptypb.Empty{}, nil
}

func (f *fakeSidecar) countSaves() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.saves
}

// openFake returns a provider on a fake sidecar.
func openFake(t *testing.T, f *fakeSidecar, query string) *provider {
	t.Helper()
	f.values, f.etags = map[string][]byte{}, map[string]int{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check.NoError(t, err)
	server := grpc.NewServer()
	runtimev1.RegisterDaprServer(server, f)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	parsed, err := providers.Scheme{Settings: settings()}.Parse("dapr://" + l.Addr().String() + query)
	check.NoError(t, err)
	c, err := newConfig(parsed)
	check.NoError(t, err)
	p := newProvider(c, slog.New(slog.DiscardHandler))
	check.NoError(t, p.connect())
	p.current.Store(&sidecarState{components: map[fairlead.Facet]component{
		fairlead.KV: {"state", "state.redis"}, fairlead.PubSub: {"pubsub", "pubsub.redis"},
	}})
	t.Cleanup(func() { _ = p.disconnect() })
	return p
}

func putInto(ctx context.Context, s kvdriver.Store) error {
	return s.Do(ctx, []kvdriver.Op{{Kind: kvdriver.OpPut, Key: "k", Value: []byte("v")}})[0].Err
}

func openStore(t *testing.T, p *provider) kvdriver.Store {
	t.Helper()
	s, err := p.OpenStore(t.Context(), kvdriver.StoreConfig{Name: "s"})
	check.NoError(t, err)
	return s
}
