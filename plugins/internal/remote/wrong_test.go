package remote

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"fairlead.dev"
	configdriver "fairlead.dev/config/driver"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/plugins/internal/service"
	"fairlead.dev/plugins/internal/wire"
	psdriver "fairlead.dev/pubsub/driver"
)

// returnsNothing has the kinds of calls whose replies have neither body nor handle.
var returnsNothing = map[protoreflect.Name]bool{
	"close_handle": true, "kv_delete_store": true, "pubsub_delete_topic": true, "pubsub_delete_group": true,
	"rpc_send": true, "rpc_keep": true,
}

// TestEveryCallNeedsItsReply shows that an empty reply, or the reply to another
// kind of call, answers no call that returns something.
func TestEveryCallNeedsItsReply(t *testing.T) {
	calls := (&pluginpb.Call{}).ProtoReflect().Descriptor().Oneofs().ByName("body").Fields()
	bodies := (&pluginpb.Reply{}).ProtoReflect().Descriptor().Oneofs().ByName("body").Fields()
	for i := range calls.Len() {
		c := (&pluginpb.Call{}).ProtoReflect()
		c.Set(calls.Get(i), c.NewField(calls.Get(i)))
		fitting := 0
		for j := range bodies.Len() {
			r := (&pluginpb.Reply{Handle: 1}).ProtoReflect()
			r.Set(bodies.Get(j), r.NewField(bodies.Get(j)))
			if answers(r.Interface().(*pluginpb.Reply), c.Interface().(*pluginpb.Call)) {
				fitting++
			}
		}
		name := calls.Get(i).Name()
		if empty := answers(&pluginpb.Reply{}, c.Interface().(*pluginpb.Call)); empty != returnsNothing[name] {
			t.Errorf("an empty reply answers %s: %v", name, empty)
		}
		if fitting != 1 && fitting != bodies.Len() {
			t.Errorf("%d kinds of replies answer %s", fitting, name)
		}
	}
}

// TestRepliesOfTheWrongKind shows that callers get Internal, not success, for an
// empty reply.
func TestRepliesOfTheWrongKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakePlugin{answer: func(_ context.Context, c *pluginpb.Call) *pluginpb.Reply {
			if r := replyToOpening(c); r != nil {
				return r
			}
			if c.GetConfigOpenSource() != nil {
				return &pluginpb.Reply{Handle: c.Id}
			}
			return &pluginpb.Reply{}
		}}
		ctx, r := t.Context(), p.openProvider(t)
		s, _ := r.OpenStore(ctx, kvdriver.StoreConfig{Name: "s"})
		sub, _ := r.OpenSubscription(ctx, psdriver.SubscriptionConfig{Topic: "t", Group: "g"})
		src, _ := r.OpenSource(ctx, configdriver.SourceConfig{Name: "c"})
		errs := map[string]error{}
		_, errs["Txn"] = s.Txn(ctx, kvdriver.Txn{Writes: make([]kvdriver.Op, 1)})
		_, errs["List"] = s.List(ctx, kvdriver.ListRequest{})
		_, errs["Stores"] = r.Stores(ctx, "")
		_, errs["Topics"] = r.Topics(ctx, "")
		errs["Ack"] = sub.Settle(ctx, []psdriver.Settlement{{Token: "1:x", Kind: psdriver.Ack}})[0]
		_, errs["Snapshot"] = src.Snapshot(ctx)
		_, errs["Set"] = src.Set(ctx, nil)
		for what, err := range errs {
			if fairlead.CodeOf(err) != fairlead.Internal {
				t.Errorf("%s: %v, want Internal", what, err)
			}
		}
	})
}

// TestEndedContextOfOperations shows that every operation of a call that the plugin
// ended for its host gets the error of its caller's context, whatever the plugin
// was told first.
func TestEndedContextOfOperations(t *testing.T) {
	for _, code := range []pluginpb.Code{pluginpb.Code_CODE_CANCELED, pluginpb.Code_CODE_DEADLINE_EXCEEDED} {
		for _, want := range []fairlead.Code{fairlead.Canceled, fairlead.DeadlineExceeded} {
			synctest.Test(t, func(t *testing.T) {
				failed := &pluginpb.Error{Code: code}
				p := &fakePlugin{answer: func(ctx context.Context, c *pluginpb.Call) *pluginpb.Reply {
					if r := replyToOpening(c); r != nil {
						return r
					}
					<-ctx.Done()
					switch {
					case c.GetKvDo() != nil:
						return &pluginpb.Reply{Body: &pluginpb.Reply_KvResults{KvResults: &pluginpb.KVResults{Results: []*pluginpb.KVResult{{Error: failed}, {Error: failed}}}}}
					case c.GetPubsubSend() != nil:
						return &pluginpb.Reply{Body: &pluginpb.Reply_PubsubSendResults{PubsubSendResults: &pluginpb.PubSubSendResults{Results: []*pluginpb.PubSubSendResult{{Error: failed}}}}}
					default:
						return &pluginpb.Reply{Body: &pluginpb.Reply_PubsubSettled{PubsubSettled: &pluginpb.PubSubSettled{Failures: []*pluginpb.PubSubSettleFailure{{Error: failed}}}}}
					}
				}}
				r := p.openProvider(t)
				s, _ := r.OpenStore(t.Context(), kvdriver.StoreConfig{Name: "s"})
				topic, _ := r.OpenTopic(t.Context(), psdriver.TopicConfig{Name: "t"})
				sub, _ := r.OpenSubscription(t.Context(), psdriver.SubscriptionConfig{Topic: "t", Group: "g"})
				ctx := func() context.Context {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					if want == fairlead.Canceled {
						ctx, cancel = context.WithCancel(t.Context())
						time.AfterFunc(time.Second, cancel)
					}
					t.Cleanup(cancel)
					return ctx
				}
				var errs []error
				for _, r := range s.Do(ctx(), make([]kvdriver.Op, 2)) {
					errs = append(errs, r.Err)
				}
				errs = append(errs, topic.Send(ctx(), make([]psdriver.Message, 1))[0].Err,
					sub.Settle(ctx(), []psdriver.Settlement{{Token: "1:x", Kind: psdriver.Ack}})[0])
				for i, err := range errs {
					if fairlead.CodeOf(err) != want {
						t.Errorf("the plugin said %v of result %d: got %v, want %v", code, i, err, want)
					}
				}
			})
		}
	}
}

// brokenPlugin is a plugin whose sessions or control calls fail as a test wants.
type brokenPlugin struct {
	fakePlugin
	close func(*pluginpb.CloseRequest) error
}

func (p *brokenPlugin) Close(_ context.Context, r *pluginpb.CloseRequest, _ ...grpc.CallOption) (*pluginpb.CloseResponse, error) {
	return &pluginpb.CloseResponse{}, p.close(r)
}

// TestCloseReportsTheProvidersError shows that the error of a provider's Close
// reaches the caller, also if the plugin breaks the data plane before it replies,
// and that the request has the session's token.
func TestCloseReportsTheProvidersError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var theirs net.Conn
		p := &brokenPlugin{close: func(r *pluginpb.CloseRequest) error {
			if r.Session != 7 || string(r.Token) != "token" {
				t.Errorf("the plugin is asked to close %d, %q", r.Session, r.Token)
			}
			theirs.Close()
			synctest.Wait()
			return service.StatusError(fairlead.Errorf(fairlead.Internal, "the last data was not written"))
		}}
		r, err := New(t.Context(), func(ctx context.Context) (*Session, error) {
			var ours net.Conn
			ours, theirs = net.Pipe()
			go p.serveConn(t, theirs)
			link, err := wire.Attach(ctx, ours, &pluginpb.Attach{})
			return &Session{ID: 7, Token: []byte("token"), Control: p, Link: link}, err
		}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(t.Context()); fairlead.CodeOf(err) != fairlead.Internal || !strings.Contains(err.Error(), "not written") {
			t.Errorf("Close returned %v", err)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Errorf("the second Close returned %v", err)
		}
		synctest.Wait()
	})
}

// TestShortSessionsAreNotReopenedAtOnce shows that a plugin whose sessions break
// soon is not asked for another one all the time, and that callers get the cause.
func TestShortSessionsAreNotReopenedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakePlugin{}
		var opened atomic.Int64
		r, err := New(t.Context(), func(ctx context.Context) (*Session, error) {
			if opened.Add(1) > 1000 {
				return nil, errors.New("enough")
			}
			ours, theirs := net.Pipe()
			go p.serveConn(t, theirs)
			link, err := wire.Attach(ctx, ours, &pluginpb.Attach{})
			return &Session{Control: &undescribed{}, Link: link}, err
		}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := opened.Load(); n < 3 || n > 100 {
			t.Errorf("%d sessions were opened in 10 s", n)
		}
		if _, err := r.Stores(t.Context(), ""); fairlead.CodeOf(err) != fairlead.Unavailable || !strings.Contains(err.Error(), "no such method") {
			t.Errorf("a call: %v", err)
		}
		_ = r.Close(t.Context())
		synctest.Wait()
	})
}

// undescribed is a plugin that does not serve Describe.
type undescribed struct{ fakePlugin }

func (p *undescribed) Describe(context.Context, *pluginpb.DescribeRequest, ...grpc.CallOption) (*pluginpb.DescribeResponse, error) {
	return nil, service.StatusError(fairlead.Errorf(fairlead.Unsupported, "no such method"))
}

// TestReopeningIsTemporary shows that a failure to open a session again is
// Unavailable for callers, whatever its code: the host tries again.
func TestReopeningIsTemporary(t *testing.T) {
	for _, code := range []fairlead.Code{fairlead.Invalid, fairlead.PermissionDenied, fairlead.Unsupported, fairlead.Closed, fairlead.Internal} {
		synctest.Test(t, func(t *testing.T) {
			p := &fakePlugin{answer: func(_ context.Context, c *pluginpb.Call) *pluginpb.Reply {
				return &pluginpb.Reply{Body: &pluginpb.Reply_Names{Names: &pluginpb.Names{}}}
			}}
			var broken atomic.Bool
			var theirs net.Conn
			r, err := New(t.Context(), func(ctx context.Context) (*Session, error) {
				if broken.Load() {
					return nil, fairlead.Errorf(code, "the reason")
				}
				var ours net.Conn
				ours, theirs = net.Pipe()
				go p.serveConn(t, theirs)
				link, err := wire.Attach(ctx, ours, &pluginpb.Attach{})
				return &Session{Control: p, Link: link}, err
			}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			broken.Store(true)
			theirs.Close()
			_, _ = r.Stores(t.Context(), "") // notices it
			time.Sleep(time.Second)
			if _, err := r.Stores(t.Context(), ""); fairlead.CodeOf(err) != fairlead.Unavailable || !strings.Contains(err.Error(), "the reason") {
				t.Errorf("while reopening fails with %v: %v", code, err)
			}
			broken.Store(false)
			time.Sleep(10 * time.Second)
			if _, err := r.Stores(t.Context(), ""); err != nil {
				t.Errorf("after the cause is gone: %v", err)
			}
			if err := r.Close(t.Context()); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		})
	}
}

// TestDescriptionsAreBounded shows that a description of any size does not stay in
// the host.
func TestDescriptionsAreBounded(t *testing.T) {
	if err := checkDescription(&pluginpb.Description{Notes: []string{strings.Repeat("x", maxDescription-100)}}); err != nil {
		t.Error(err)
	}
	if err := checkDescription(&pluginpb.Description{Notes: []string{strings.Repeat("x", maxDescription)}}); fairlead.CodeOf(err) != fairlead.Internal {
		t.Errorf("got %v, want Internal", err)
	}
	limits := &pluginpb.Limits{MaxBatch: 2, Pipelines: 1 << 62}
	d := hostDescription(&pluginpb.Description{Facets: []*pluginpb.FacetDescription{{Facet: "kv", Limits: limits}}})
	if f, _ := d.Facet(fairlead.KV); f.Limits.Pipelines != maxPipelines {
		t.Errorf("a plugin that claims 2⁶² pipelines gets %d", f.Limits.Pipelines)
	}
}
