package plugins_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/plugins"
	"fairlead.dev/pubsub"
)

// interrupted makes calls through a plugin that is killed after its server has
// carried them out and before the plugin gets an answer.
type interrupted struct {
	t      *testing.T
	server *testbed.RedisServer
	proxy  *testbed.TCPProxy
	host   *plugins.Host
	p      fairlead.Provider
}

func newInterrupted(t *testing.T, over plugins.Transport) *interrupted {
	t.Helper()
	i := &interrupted{t: t, server: testbed.Redis(t)}
	i.proxy = testbed.Proxy(t, i.server.Addr())
	i.host = newHost(t, plugins.WithFolders(installed(t, "redis")), plugins.WithTransport(over), eager)
	// Only the calls of the test may reach the server.
	i.p = open(t, i.host, "plugin+redis://"+i.proxy.Addr()+"?read-timeout=1m&probe-interval=60s")
	return i
}

// call makes a call twice. The first one prepares what the call needs, so that the
// second one sends only the command. It kills the plugin when the server has
// carried out that command, and returns the errors of the second call.
func (i *interrupted) call(command string, f func() []error) []error {
	i.t.Helper()
	if err := errors.Join(f()...); err != nil {
		i.t.Fatal(err)
	}
	i.proxy.SetLatency(time.Hour)
	before := commands(i.t, i.server, command)
	answer := make(chan []error, 1)
	go func() { answer <- f() }()
	check.Eventually(i.t, command+" is carried out", func() bool { return commands(i.t, i.server, command) > before })
	pid := i.host.Status()[0].PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		i.t.Fatal(err)
	}
	errs := <-answer
	i.proxy.SetLatency(0)
	running(i.t, i.host, pid)
	works(i.t, i.p)
	return errs
}

// commands returns how often a server has carried out a command.
func commands(t *testing.T, server *testbed.RedisServer, name string) (n int) {
	t.Helper()
	err := server.Do(t.Context(), func(ctx context.Context, c *redis.Client) error {
		info, err := c.Info(ctx, "commandstats").Result()
		_, calls, found := strings.Cut(info, "cmdstat_"+name+":calls=")
		if err != nil || !found {
			return err
		}
		calls, _, _ = strings.Cut(calls, ",")
		n, err = strconv.Atoi(calls)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestOutcomesOfAKilledPlugin shows the outcomes of calls whose plugin is killed
// meanwhile: the outcome of a write is unknown, even if it shares its call with a
// read, and a read has failed.
func TestOutcomesOfAKilledPlugin(t *testing.T) {
	overBoth(t, func(t *testing.T, over plugins.Transport) {
		i := newInterrupted(t, over)
		ctx := t.Context()
		s := store(t, i.p)
		topic := must[*pubsub.Topic](t)(pubsub.Open(ctx, i.p, "t"))
		d := must[kvdriver.Store](t)(i.p.(kvdriver.Provider).OpenStore(ctx, kvdriver.StoreConfig{Name: "users"}))
		rev := must[kv.Revision](t)(s.Put(ctx, "there", []byte("1")))
		for _, c := range []struct {
			name, command string
			call          func() []error
			want          []fairlead.Code
		}{
			{"put", "evalsha", func() []error {
				_, err := s.Put(ctx, "k", []byte("v"))
				return []error{err}
			}, []fairlead.Code{fairlead.UnknownOutcome}},
			{"transaction", "evalsha", func() []error {
				_, err := d.Txn(ctx, kvdriver.Txn{
					Conditions: []kvdriver.Condition{{Key: "there", Revision: kvdriver.Revision(rev)}}, Writes: []kvdriver.Op{{Kind: kvdriver.OpPut, Key: "k"}},
				})
				return []error{err}
			}, []fairlead.Code{fairlead.UnknownOutcome}},
			{"publish", "xadd", func() []error {
				_, err := topic.Publish(ctx, pubsub.Message{Body: []byte("m")})
				return []error{err}
			}, []fairlead.Code{fairlead.UnknownOutcome}},
			{"get", "get", func() []error {
				_, err := s.Get(ctx, "there")
				return []error{err}
			}, []fairlead.Code{fairlead.Unavailable}},
			{"list", "evalsha", func() []error {
				_, err := d.List(ctx, kvdriver.ListRequest{Limit: 1})
				return []error{err}
			}, []fairlead.Code{fairlead.Unavailable}},
			{"get and put", "evalsha", func() []error {
				r := d.Do(ctx, []kvdriver.Op{{Kind: kvdriver.OpGet, Key: "there"}, {Kind: kvdriver.OpPut, Key: "k"}})
				return []error{r[0].Err, r[1].Err}
			}, []fairlead.Code{fairlead.Unavailable, fairlead.UnknownOutcome}},
		} {
			errs := i.call(c.command, c.call)
			for j, want := range c.want {
				if fairlead.CodeOf(errs[j]) != want {
					t.Errorf("%s: got %v, want %v", c.name, errs[j], want)
				}
			}
		}
	})
}

// TestTokensEndWithTheirPlugin shows that a message which was received before
// the plugin was restarted can no longer be settled, and is delivered again.
func TestTokensEndWithTheirPlugin(t *testing.T) {
	g := newGroup(t, "redis", testbed.Redis(t).URL())
	g.publish("m")
	before := next(t, g.sub)
	killed(t, g.host, g.p)
	g.refused(before)
	after := next(t, g.sub)
	if string(after.Body) != "m" || after.Attempt != 2 {
		t.Errorf("got %q with the attempt %d, want \"m\" with the attempt 2", after.Body, after.Attempt)
	}
	if err := after.Ack(t.Context()); err != nil {
		t.Errorf("acknowledging the message that was delivered again: %v", err)
	}
}

// TestTokensAreNotMistaken shows the same if another message has the same token
// in the new plugin: NATS counts tokens from 1.
func TestTokensAreNotMistaken(t *testing.T) {
	g := newGroup(t, "nats", testbed.NATS(t).URL())
	g.publish("first")
	first := next(t, g.sub)
	killed(t, g.host, g.p)
	g.publish("second")
	second := next(t, g.sub)
	g.refused(first)
	if err := second.Ack(t.Context()); err != nil {
		t.Errorf("%q was acknowledged with the token of %q: %v", second.Body, first.Body, err)
	}
}

// group is a subscription through a plugin.
type group struct {
	t     *testing.T
	host  *plugins.Host
	p     fairlead.Provider
	topic *pubsub.Topic
	sub   *pubsub.Subscription
}

func newGroup(t *testing.T, plugin, url string) *group {
	t.Helper()
	g := &group{t: t, host: newHost(t, plugins.WithFolders(installed(t, plugin)), eager)}
	g.p = open(t, g.host, "plugin+"+url)
	g.topic = must[*pubsub.Topic](t)(pubsub.Open(t.Context(), g.p, "t"))
	g.sub = must[*pubsub.Subscription](t)(pubsub.Subscribe(t.Context(), g.p, "t", pubsub.Group("g"), pubsub.AckDeadline(2*time.Second)))
	return g
}

func (g *group) publish(text string) {
	g.t.Helper()
	must[pubsub.Receipt](g.t)(g.topic.Publish(g.t.Context(), pubsub.Message{Body: []byte(text)}))
}

// refused acknowledges a message of the previous plugin, which must fail.
func (g *group) refused(d *pubsub.Delivery) {
	g.t.Helper()
	err := d.Ack(g.t.Context())
	if !errors.Is(err, pubsub.ErrLeaseLost) || !strings.Contains(err.Error(), "before the plugin was restarted") {
		g.t.Errorf("acknowledging a message that the previous plugin delivered: %v", err)
	}
}
