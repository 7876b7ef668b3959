package gocloud

import (
	"context"
	"time"

	"gocloud.dev/docstore"
	"gocloud.dev/gcerrors"
	"gocloud.dev/pubsub"
	"gocloud.dev/runtimevar"

	"fairlead.dev/providers"
)

// Driver lets the bridge use one driver of gocloud.dev. It says how topics,
// collections and variables are found by name, and what they guarantee beyond
// the interfaces of gocloud.dev. [Register] adds it.
type Driver struct {
	Scheme   string // of the URL: gocloud+Scheme
	Help     string // one line, with an example of a URL
	Settings []providers.Setting
	// Open connects. It fails if the backend cannot be reached. Its errors are of
	// the type *fairlead.Error.
	Open func(ctx context.Context, s providers.Settings) (*Backend, error)
}

// Backend is the result of a [Driver]'s Open. A facet that it does not offer is
// nil.
type Backend struct {
	System   string // messaging.system or db.system.name of the OpenTelemetry semantic conventions
	Version  string // of the backend, if it reports one
	Endpoint string // without credentials
	Notes    []string
	Volatile bool // the data lives in this process
	// Durable is the operator's assertion about the backend, the value of
	// [DurableSetting]: no driver of gocloud.dev reports durability.
	Durable string
	// Shared: every Open of the same URL reaches the same data.
	Shared bool

	PubSub  *PubSub
	Docs    *Docs
	Vars    *Vars
	Release func(ctx context.Context) error // may be nil

	// handles is set by a backend that several providers share.
	handles *openHandles
}

// PubSub is the pubsub facet of a driver.
type PubSub struct {
	// OpenTopic opens a topic, and creates it if it does not exist. It is called
	// again after a topic has failed.
	OpenTopic func(ctx context.Context, name string) (*Topic, error)
	// OpenSubscription opens a subscription, and creates topic and group if they
	// do not exist. An empty group is a broadcast: a group that only this
	// subscription has. It is called again after a subscription has failed or was
	// closed.
	OpenSubscription func(ctx context.Context, topic, group string) (*Subscription, error)
	// Topics, DeleteTopic and DeleteGroup implement the methods of the facet's
	// driver package. All are nil if the driver cannot do one of them.
	Topics      func(ctx context.Context, prefix string) ([]string, error)
	DeleteTopic func(ctx context.Context, name string) error
	DeleteGroup func(ctx context.Context, topic, group string) error

	// Broadcast: OpenSubscription accepts an empty group.
	Broadcast bool
	// Local: subscriptions live in this process and stay open while their group
	// exists. Messages that they hold are not lost, and no other process needs
	// them.
	Local bool
	// MaxMessageBytes is the largest message. 0 means 256,000.
	MaxMessageBytes int
	// AckDeadline is the time after which the backend itself delivers an unsettled
	// message again. 0 means never while the subscription is open. If it is not 0,
	// subscribers cannot have a longer deadline, and leases cannot be extended.
	AckDeadline time.Duration
	// MaxDelay is the longest delay of a message that is given back; 0 means
	// 12 hours. It is not used if AckDeadline is not 0.
	MaxDelay time.Duration
}

// Topic is an open topic of gocloud.dev.
type Topic struct {
	*pubsub.Topic
	// Prepare is called with every message before it is sent; may be nil.
	Prepare func(m *pubsub.Message)
	// Outcome returns what an error of Send means for the message: nil if the
	// message was stored. If Outcome is nil, it is unknown after every error
	// whether the message was stored.
	Outcome func(err error) error
	Close   func(ctx context.Context) error
}

// Subscription is an open subscription of gocloud.dev.
type Subscription struct {
	*pubsub.Subscription
	// Ack acknowledges a message at once, and returns an error if that failed. If
	// it is nil, gocloud.dev acknowledges in the background.
	Ack func(m *pubsub.Message) error
	// Requeues: Close gives unacknowledged messages back.
	Requeues bool
	Close    func(ctx context.Context) error
}

// Docs is the kv facet of a driver: collections whose documents are found by the
// string field [KeyField], with revisions in the field of the default name.
type Docs struct {
	OpenCollection func(ctx context.Context, name string) (*docstore.Collection, error)
	// Close closes a collection. Nil if collections are shared.
	Close func(c *docstore.Collection) error
	// Collections and DeleteCollection are both set or both nil.
	Collections      func(ctx context.Context, prefix string) ([]string, error)
	DeleteCollection func(ctx context.Context, name string) error

	// Ordered: a query on the key field returns documents in the order of the
	// field's bytes. Without it, List is not claimed, and keys are stored in
	// hexadecimal, which every driver accepts.
	Ordered bool
	// Linearizable: a Get shows every write acknowledged before it.
	Linearizable  bool
	MaxValueBytes int
}

// KeyField is the field that documents are found by.
const KeyField = "key"

// Vars is the config facet of a driver.
type Vars struct {
	// OpenVariable opens the variable that holds the settings of a name. It does
	// not fail if the variable does not exist: reading it fails then.
	OpenVariable func(ctx context.Context, name string) (*runtimevar.Variable, error)
	// Format is the value of [FormatSetting]. Empty means JSON.
	Format Format
	// Missing reports whether a variable really does not exist after gocloud.dev
	// has returned a NotFound error for it. Nil means that it does not exist.
	Missing func(name string, err error) bool
}

func (v *Vars) missing(name string, err error) bool {
	return gcerrors.Code(err) == gcerrors.NotFound && (v.Missing == nil || v.Missing(name, err))
}

// DurableSetting returns the setting by which an operator asserts the durability
// that the bridge cannot ask for. A driver whose data outlives the process
// declares it.
func DurableSetting() providers.Setting {
	return providers.Setting{
		Name: "durable", Kind: providers.Enum, Default: "none", Values: []string{"none", "fsync", "quorum"},
		Help: "what the operator asserts about the backend: fsync (acknowledged writes are on stable storage), quorum (on the stable storage of a majority)",
	}
}
