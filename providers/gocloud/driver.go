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

// Driver teaches the bridge one driver of gocloud.dev: how topics, collections
// and variables are found by name, and what holds there that the interfaces of
// gocloud.dev do not say. [Register] makes it known.
type Driver struct {
	Scheme   string // of the URL: gocloud+Scheme
	Help     string // one line, with an example of a URL
	Settings []providers.Setting
	// Open connects, and fails rather than return a backend that cannot be
	// reached. Its errors are of the type *fairlead.Error.
	Open func(ctx context.Context, s providers.Settings) (*Backend, error)
}

// Backend is what a [Driver] opens. A facet that it does not offer is nil.
type Backend struct {
	System   string // messaging.system or db.system.name of the OpenTelemetry semantic conventions
	Version  string // the backend's own, if it tells
	Endpoint string // without credentials
	Notes    []string
	Volatile bool // the data lives in this process
	// Durable names what the operator asserts of the backend, as
	// [DurableSetting] reads it: no driver of gocloud.dev tells.
	Durable string
	// Shared: every Open of the same URL reaches the same data.
	Shared bool

	PubSub  *PubSub
	Docs    *Docs
	Vars    *Vars
	Release func(ctx context.Context) error // may be nil

	// hub is set by a backend that several providers share.
	hub *hub
}

// PubSub is the pubsub facet of a driver.
type PubSub struct {
	// OpenTopic opens a topic, and creates it if need be. It is called again
	// after a topic failed.
	OpenTopic func(ctx context.Context, name string) (*Topic, error)
	// OpenFeed opens a subscription, and creates topic and group if need be.
	// An empty group is a broadcast: a group of this feed alone. It is called
	// again after a feed failed or was closed.
	OpenFeed func(ctx context.Context, topic, group string) (*Feed, error)
	// Topics, DeleteTopic and DeleteGroup are as in the driver package of the
	// facet. Nil if the driver cannot; they come together.
	Topics      func(ctx context.Context, prefix string) ([]string, error)
	DeleteTopic func(ctx context.Context, name string) error
	DeleteGroup func(ctx context.Context, topic, group string) error

	// Broadcast: OpenFeed takes an empty group.
	Broadcast bool
	// Local: feeds live in this process and are never closed while their
	// group exists; what they hold is not lost and not wanted elsewhere.
	Local bool
	// MaxMessageBytes is the largest message. 0 means 256,000.
	MaxMessageBytes int
	// AckDeadline is after how long the backend itself gives a message that
	// is not settled to somebody else; 0 means never as long as the feed is
	// open. No longer deadline is accepted from a subscriber, and leases
	// cannot be extended if it is not 0.
	AckDeadline time.Duration
	// MaxDelay is the longest delay of a message that is given back; 0 means
	// 12 hours. It is not used if AckDeadline is not 0.
	MaxDelay time.Duration
}

// Topic is one topic of gocloud.dev, open.
type Topic struct {
	*pubsub.Topic
	// Prepare is called with every message before it is sent; may be nil.
	Prepare func(m *pubsub.Message)
	// Outcome says what an error of Send means for the message: nil that it
	// was stored. Nil stands for one that trusts no error to mean that a
	// message was not stored.
	Outcome func(err error) error
	Close   func(ctx context.Context) error
}

// Feed is one subscription of gocloud.dev, open.
type Feed struct {
	*pubsub.Subscription
	// Ack acknowledges at once and says if that failed. Nil stands for
	// gocloud.dev's own way, which sends in the background.
	Ack func(m *pubsub.Message) error
	// Requeues: Close gives back what was not acknowledged.
	Requeues bool
	Close    func(ctx context.Context) error
}

// Docs is the kv facet of a driver: collections whose documents are found by
// the string field [KeyField], with revisions in the field of the default
// name.
type Docs struct {
	OpenCollection func(ctx context.Context, name string) (*docstore.Collection, error)
	// Close closes what OpenCollection opened. Nil if collections are shared.
	Close func(c *docstore.Collection) error
	// Collections and DeleteCollection come together, or are nil.
	Collections      func(ctx context.Context, prefix string) ([]string, error)
	DeleteCollection func(ctx context.Context, name string) error

	// Ordered: a query on the key field is answered in the order of the
	// field's bytes. Without it nothing can be listed, and keys are written
	// in hexadecimal digits, which every driver takes.
	Ordered bool
	// Linearizable: a Get shows every write acknowledged before it.
	Linearizable  bool
	MaxValueBytes int
}

// KeyField is the field by which documents are found.
const KeyField = "key"

// Vars is the config facet of a driver.
type Vars struct {
	// OpenVariable opens the variable that holds the settings of that name. A
	// variable that does not exist is not an error: it says so when read.
	OpenVariable func(ctx context.Context, name string) (*runtimevar.Variable, error)
	// Format is the value of the setting of [FormatSetting]. Empty is JSON.
	Format Format
	// Missing says whether the variable of that name does not exist, given the
	// error by which gocloud.dev said so. Nil believes it.
	Missing func(name string, err error) bool
}

func (v *Vars) missing(name string, err error) bool {
	return gcerrors.Code(err) == gcerrors.NotFound && (v.Missing == nil || v.Missing(name, err))
}

// DurableSetting is the setting by which an operator asserts what the bridge
// cannot ask. A driver whose data outlives the process declares it.
func DurableSetting() providers.Setting {
	return providers.Setting{
		Name: "durable", Kind: providers.Enum, Default: "none", Values: []string{"none", "fsync", "quorum"},
		Help: "what the operator asserts of the backend, since no driver tells: fsync (acknowledged writes are on stable storage), quorum (on that of a majority)",
	}
}
