package rabbit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"fairlead.dev"
)

const (
	// heartbeat detects a broker that has disappeared without closing the
	// connection, within twice this time.
	heartbeat = 5 * time.Second
	// dialTimeout bounds the opening of a connection to one host.
	dialTimeout = 10 * time.Second
	// closeTimeout is how long the broker may take to confirm the close of a
	// connection.
	closeTimeout = 2 * time.Second
	// maxNameLength is the length of the longest name in AMQP.
	maxNameLength = 255
)

// dial opens a connection to the first host that accepts one.
func (b *broker) dial(ctx context.Context) (*amqp.Connection, error) {
	var errs []error
	for _, host := range b.hosts {
		conn, err := amqp.DialConfig("amqp://"+host, b.amqpConfig(ctx, host))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, convertError(err))
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 1 {
		return nil, errs[0]
	}
	return nil, fairlead.Errorf(fairlead.Unavailable, "no host accepts a connection: %w", errors.Join(errs...))
}

func (b *broker) amqpConfig(ctx context.Context, host string) amqp.Config {
	c := amqp.Config{
		Vhost:     b.vhost,
		Heartbeat: heartbeat,
		SASL:      []amqp.Authentication{&amqp.PlainAuth{Username: b.user, Password: b.password}},
		Dial:      func(network, addr string) (net.Conn, error) { return dialTCP(ctx, network, addr) },
	}
	if b.tls != nil {
		// amqp091 sees the scheme amqp and does not begin TLS: the driver does.
		c.Dial = func(network, addr string) (net.Conn, error) { return b.dialTLS(ctx, network, addr) }
	}
	return c
}

// dialDeadline returns when the opening of a connection fails.
func dialDeadline(ctx context.Context) time.Time {
	end := time.Now().Add(dialTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(end) {
		return d
	}
	return end
}

// dialTCP connects. The deadline of the connection is for the handshake; amqp091
// clears it afterwards.
func dialTCP(ctx context.Context, network, addr string) (net.Conn, error) {
	end := dialDeadline(ctx)
	c, err := (&net.Dialer{Deadline: end}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(end)
}

// publisher is the connection that all topics share.
type publisher struct {
	broker *broker

	mu     sync.Mutex
	conn   *amqp.Connection
	closed bool
}

// connection returns the connection, and opens another one if it was lost.
func (p *publisher) connection(ctx context.Context) (*amqp.Connection, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return nil, fairlead.Errorf(fairlead.Closed, "the provider is closed")
	case p.conn != nil && !p.conn.IsClosed():
		return p.conn, nil
	}
	conn, err := p.broker.dial(ctx)
	if err == nil {
		p.conn = conn
	}
	return conn, err
}

func (p *publisher) close(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.conn != nil {
		_ = closeConnection(p.conn)
	}
	return nil
}

// closeConnection closes a connection, which may be lost already.
func closeConnection(conn *amqp.Connection) error {
	return conn.CloseDeadline(time.Now().Add(closeTimeout))
}

// convertError converts the error of a connection or declaration that failed:
// nothing was sent or received then.
func convertError(err error) error {
	code := fairlead.Unavailable
	var e *amqp.Error
	if errors.As(err, &e) {
		code = cmp.Or(refusals[e.Code], code)
	}
	return fairlead.Errorf(code, "%w", err)
}

var refusals = map[int]fairlead.Code{
	amqp.AccessRefused:      fairlead.PermissionDenied,
	amqp.NotAllowed:         fairlead.PermissionDenied, // usually: the virtual host does not exist
	amqp.PreconditionFailed: fairlead.Invalid,          // it exists with other properties
}

func (b *broker) exchangeName(topic string) string { return b.prefix + topic }

// queueName returns the name of a group's queue. Names of topics and groups
// contain neither a slash nor a number sign.
func (b *broker) queueName(topic, group string) string {
	name := b.prefix + topic + "/" + group
	if len(name) <= maxNameLength {
		return name
	}
	sum := sha256.Sum256([]byte(group))
	return b.prefix + topic + "/#" + hex.EncodeToString(sum[:])
}

// declareExchange creates the exchange of a topic.
func declareExchange(conn *amqp.Connection, name string) error {
	return onChannel(conn, func(ch *amqp.Channel) error {
		return ch.ExchangeDeclare(name, amqp.ExchangeFanout, true, false, false, false, nil)
	})
}

// declareQueue creates the exchange of a topic and the queue of a group, or a
// queue that ends with the connection, and returns the queue's name.
func (b *broker) declareQueue(conn *amqp.Connection, topic, group string) (name string, err error) {
	exchange := b.exchangeName(topic)
	if err := declareExchange(conn, exchange); err != nil {
		return "", err
	}
	if group != "" {
		name = b.queueName(topic, group)
	}
	err = onChannel(conn, func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclare(name, group != "", false, group == "", false, nil)
		if err != nil {
			return err
		}
		name = q.Name
		return ch.QueueBind(q.Name, "", exchange, false, nil)
	})
	if err == nil && group != "" {
		b.bindings.add(exchange, name)
	}
	return name, err
}

// onChannel runs f on a channel of its own: an error ends the channel.
func onChannel(conn *amqp.Connection, f func(*amqp.Channel) error) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	return f(ch)
}
