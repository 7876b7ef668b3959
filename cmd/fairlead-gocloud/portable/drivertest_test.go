package portable_test

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"gocloud.dev/pubsub/driver"
	psdrivertest "gocloud.dev/pubsub/drivertest"
	"gocloud.dev/runtimevar"
	vardriver "gocloud.dev/runtimevar/driver"
	vardrivertest "gocloud.dev/runtimevar/drivertest"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/providers/gocloud/portable"
	_ "fairlead.dev/providers/memory"
	_ "fairlead.dev/providers/nats"
	_ "fairlead.dev/providers/redis"
	"fairlead.dev/pubsub"
)

// backends holds the providers on which gocloud.dev's own suites have to pass.
func backends(t *testing.T, run func(t *testing.T, p fairlead.Provider)) {
	for name, url := range map[string]func(*testing.T) string{
		"memory": func(*testing.T) string { return "mem://" },
		"redis":  func(t *testing.T) string { return testbed.Redis(t).URL() },
		"nats":   func(t *testing.T) string { return testbed.NATS(t).URL() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := fairlead.Open(t.Context(), url(t))
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close(context.WithoutCancel(t.Context()))
			run(t, p)
		})
	}
}

var serial atomic.Int64

// uniqueName returns a name that no other test of this program uses.
func uniqueName(kind string) string { return kind + "-" + strconv.FormatInt(serial.Add(1), 10) }

// pubsubHarness creates topics and subscriptions for gocloud.dev's suite.
type pubsubHarness struct {
	p      fairlead.Provider
	topics map[driver.Topic]string
}

func (h *pubsubHarness) CreateTopic(ctx context.Context, _ string) (driver.Topic, func(), error) {
	name := uniqueName("topic")
	t, err := portable.NewTopicDriver(ctx, h.p, name)
	if err != nil {
		return nil, nil, err
	}
	h.topics[t] = name
	return t, func() { _ = t.Close() }, nil
}

func (h *pubsubHarness) MakeNonexistentTopic(ctx context.Context) (driver.Topic, error) {
	return portable.NewTopicDriver(ctx, h.p, uniqueName("missing"), portable.MustExist())
}

func (h *pubsubHarness) CreateSubscription(ctx context.Context, t driver.Topic, _ string) (driver.Subscription, func(), error) {
	s, err := portable.NewSubscriptionDriver(ctx, h.p, h.topics[t], pubsub.Group(uniqueName("group")))
	if err != nil {
		return nil, nil, err
	}
	return s, func() { _ = s.Close() }, nil
}

func (h *pubsubHarness) MakeNonexistentSubscription(ctx context.Context) (driver.Subscription, func(), error) {
	s, err := portable.NewSubscriptionDriver(ctx, h.p, uniqueName("missing"), portable.MustExist(), pubsub.Group("g"))
	return s, func() {}, err
}

func (h *pubsubHarness) Close()                              {}
func (h *pubsubHarness) MaxBatchSizes() (int, int)           { return 0, 0 }
func (h *pubsubHarness) SupportsMultipleSubscriptions() bool { return true }

func TestPubSubDrivertest(t *testing.T) {
	backends(t, func(t *testing.T, p fairlead.Provider) {
		psdrivertest.RunConformanceTests(t, func(context.Context, *testing.T) (psdrivertest.Harness, error) {
			return &pubsubHarness{p, map[driver.Topic]string{}}, nil
		}, []psdrivertest.AsTest{reaches{}})
	})
}

// variableHarness keeps all variables of a test in the settings of one name.
type variableHarness struct {
	p      fairlead.Provider
	name   string
	source *config.Source
}

func (h *variableHarness) MakeWatcher(ctx context.Context, name string, decoder *runtimevar.Decoder) (vardriver.Watcher, error) {
	return portable.NewVariableDriver(ctx, h.p, h.name, name, decoder)
}

func (h *variableHarness) CreateVariable(ctx context.Context, name string, val []byte) error {
	_, err := h.source.Set(ctx, config.Put(name, val))
	return err
}

func (h *variableHarness) UpdateVariable(ctx context.Context, name string, val []byte) error {
	return h.CreateVariable(ctx, name, val)
}

func (h *variableHarness) DeleteVariable(ctx context.Context, name string) error {
	_, err := h.source.Set(ctx, config.Delete(name))
	return err
}

func (h *variableHarness) Close()        { _ = h.source.Close(context.Background()) }
func (h *variableHarness) Mutable() bool { return true }

func TestVariableDrivertest(t *testing.T) {
	backends(t, func(t *testing.T, p fairlead.Provider) {
		vardrivertest.RunConformanceTests(t, func(t *testing.T) (vardrivertest.Harness, error) {
			name := strings.ReplaceAll(uniqueName("settings"), "/", "-")
			src, err := config.Open(t.Context(), p, name)
			return &variableHarness{p, name, src}, err
		}, []vardrivertest.AsTest{reachesVariable{}})
	})
}
