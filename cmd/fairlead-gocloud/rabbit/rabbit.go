package rabbit

import (
	"context"
	"crypto/tls"
	"errors"
	"net/url"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"gocloud.dev/pubsub"
	"gocloud.dev/pubsub/rabbitpubsub"

	"fairlead.dev"

	"fairlead.dev/providers"
	"fairlead.dev/providers/gocloud"
)

const (
	scheme    = "rabbit"
	schemeTLS = "rabbits"
	// maxMessage is far below the default limit of brokers, 128 MiB.
	maxMessage = 8 << 20
	// maxDelay is well below the broker's consumer_timeout.
	maxDelay = 10 * time.Minute
)

func init() {
	for _, name := range []string{scheme, schemeTLS} {
		gocloud.Register(driver(name, connect))
	}
}

// driver returns the bridge's driver of a scheme. open makes its pubsub facet.
func driver(name string, open func(context.Context, *broker) (*gocloud.PubSub, error)) gocloud.Driver {
	settings := []providers.Setting{
		{Name: "prefix", Kind: providers.String, Default: "fairlead/", Help: "first part of the names of exchanges and queues"},
		{Name: "prefetch", Kind: providers.Int, Default: "1000", Min: 1, Max: 65535,
			Help: "most unsettled messages of a group in this process: leased, delayed and fetched ahead"},
		gocloud.DurableSetting(),
	}
	settings = append(settings, providers.PasswordSettings()...)
	return gocloud.Driver{
		Scheme:   name,
		Help:     "RabbitMQ through rabbitpubsub of gocloud.dev: gocloud+" + name + "://user:password@host:port/vhost",
		Settings: append(settings, providers.TLSSettings("gocloud+"+schemeTLS)...),
		Open: func(ctx context.Context, s providers.Settings) (*gocloud.Backend, error) {
			b, err := newBroker(s)
			if err != nil {
				return nil, err
			}
			return b.backend(ctx, s, open)
		},
	}
}

// broker holds the settings of the connections.
type broker struct {
	hosts     []string
	user      string
	password  string
	vhost     string
	tls       *tls.Config // nil for none
	prefix    string
	prefetch  int
	publisher *publisher
	bindings  bindings
}

func newBroker(s providers.Settings) (*broker, error) {
	secure, err := s.TLS("gocloud+" + schemeTLS)
	if err != nil {
		return nil, err
	}
	port := "5672"
	if secure != nil {
		port = "5671"
	}
	password, err := s.Password()
	if err != nil {
		return nil, err
	}
	b := &broker{hosts: s.Hosts(port), user: s.URL.User.Username(), password: password, tls: secure,
		vhost: "/", prefix: s.String("prefix"), prefetch: s.Int("prefetch")}
	if len(b.hosts) == 0 {
		b.hosts = []string{"127.0.0.1:" + port}
	}
	if path := strings.TrimPrefix(s.URL.EscapedPath(), "/"); path != "" {
		if b.vhost, err = url.PathUnescape(path); err != nil || strings.Contains(path, "/") {
			return nil, fairlead.Errorf(fairlead.Invalid, "the path of the URL is the name of the virtual host; escape a slash in it as %%2F")
		}
	}
	if b.user == "" && password == "" {
		b.user, b.password = "guest", "guest" // the default of AMQP clients
	}
	b.publisher = &publisher{broker: b}
	return b, nil
}

func (b *broker) backend(ctx context.Context, s providers.Settings, open func(context.Context, *broker) (*gocloud.PubSub, error)) (*gocloud.Backend, error) {
	ps, err := open(ctx, b)
	if err != nil {
		return nil, err
	}
	conn, err := b.publisher.connection(ctx) // to check that the broker can be reached
	if err != nil {
		return nil, err
	}
	version, _ := conn.Properties["version"].(string)
	return &gocloud.Backend{
		System: "rabbitmq", Version: version, Endpoint: strings.Join(b.hosts, ","), Shared: true, Durable: s.String("durable"),
		Notes:   []string{"leases and delays end at the latest with the broker's consumer_timeout, 30 minutes by default"},
		PubSub:  ps,
		Release: b.publisher.close,
	}, nil
}

// connect returns the pubsub facet of a broker.
func connect(_ context.Context, b *broker) (*gocloud.PubSub, error) {
	return &gocloud.PubSub{
		OpenTopic: b.openTopic, OpenSubscription: b.openSubscription,
		Broadcast: true, MaxMessageBytes: maxMessage, MaxDelay: maxDelay,
	}, nil
}

// openTopic opens a topic on the connection that all topics share. It is also
// called after the connection was lost.
func (b *broker) openTopic(ctx context.Context, name string) (*gocloud.Topic, error) {
	conn, err := b.publisher.connection(ctx)
	if err != nil {
		return nil, err
	}
	exchange := b.exchangeName(name)
	if err := declareExchange(conn, exchange); err != nil {
		return nil, convertError(err)
	}
	if err := b.bindings.rebind(conn, exchange); err != nil {
		return nil, convertError(err)
	}
	t := rabbitpubsub.OpenTopic(conn, exchange, nil)
	return &gocloud.Topic{Topic: t, Prepare: makePersistent, Outcome: convertSendError, Close: t.Shutdown}, nil
}

// openSubscription opens a subscription on a connection of its own. When that
// closes, everything that the broker holds for it ends.
func (b *broker) openSubscription(ctx context.Context, topic, group string) (*gocloud.Subscription, error) {
	conn, err := b.dial(ctx)
	if err != nil {
		return nil, err
	}
	queue, err := b.declareQueue(conn, topic, group)
	if err != nil {
		_ = closeConnection(conn)
		return nil, convertError(err)
	}
	s := rabbitpubsub.OpenSubscription(conn, queue, &rabbitpubsub.SubscriptionOptions{PrefetchCount: &b.prefetch})
	return &gocloud.Subscription{
		Subscription: s, Ack: acknowledge, Requeues: true,
		Close: func(context.Context) error { return closeConnection(conn) },
	}, nil
}

// makePersistent makes a message survive a restart of the broker.
func makePersistent(m *pubsub.Message) {
	m.BeforeSend = func(as func(any) bool) error {
		var p *amqp.Publishing
		if !as(&p) {
			return errors.New("rabbitpubsub does not give access to its message, which cannot be made persistent")
		}
		p.DeliveryMode = amqp.Persistent
		return nil
	}
}

// convertSendError returns nil if the message was stored. rabbitpubsub fails for
// a message that no queue accepts. That message was confirmed, like all of its
// batch unless there is another error.
func convertSendError(err error) error {
	var many rabbitpubsub.MultiError
	if !errors.As(err, &many) {
		many = rabbitpubsub.MultiError{err}
	}
	for _, one := range many {
		if !strings.Contains(one.Error(), "rabbitpubsub: message returned from ") || !strings.Contains(one.Error(), "(code 312)") {
			return err
		}
	}
	return nil
}

// acknowledge acknowledges a message on the channel that it came by.
func acknowledge(m *pubsub.Message) error {
	var d amqp.Delivery
	if !m.As(&d) {
		return errors.New("rabbitpubsub does not give access to its delivery, which cannot be acknowledged")
	}
	return d.Ack(false)
}
