package nats

import (
	"context"
	"errors"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
	"fairlead.dev/providers"
)

const (
	readBatch     = 256
	readBytes     = 4 << 20
	readExpires   = 4 * time.Second
	readHeartbeat = time.Second
	// readSilence is the time without a heartbeat after which the consumer, or its
	// server, counts as gone.
	readSilence = 2500 * time.Millisecond
	// consumerIdle is how long the server keeps a consumer without requests.
	consumerIdle = 30 * time.Second
)

// errNewConsumer says that a new consumer was created: the caller checks whether
// the stream still holds the messages after the position.
var errNewConsumer = errors.New("a new consumer was created")

// reader reads a stream without acknowledgements. It belongs to one goroutine
// at a time, close excepted.
type reader struct {
	p      *provider
	stream string
	filter string

	consumer   string // empty: there is none
	connection int    // of p.reconnected, for which it was made
	delivered  uint64 // messages that the consumer has sent
	asked      bool   // a pull is under way
	pulled     int    // messages that came for it
	heard      time.Time
	msgs       chan *natsgo.Msg
	removals   chan *natsgo.Msg // nil: none are read
	removed    []*natsgo.Msg    // of them, what has come

	life *providers.Lifetime // of the watcher

	mu  sync.Mutex
	sub *natsgo.Subscription
}

// delivered is a message with its place.
type delivered struct {
	msg      *natsgo.Msg
	seq      uint64
	consumed uint64 // by the consumer's own count
	pending  uint64
	time     time.Time
}

func newReader(p *provider, life *providers.Lifetime, stream, filter string) *reader {
	return &reader{p: p, life: life, stream: stream, filter: filter}
}

// close gives the subscription back, and lets the server forget the consumer.
func (r *reader) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sub != nil {
		_ = r.sub.Unsubscribe() // it may have ended with the connection
	}
}

// restart makes the next read begin after the sequence that it gets.
func (r *reader) restart() { r.consumer = "" }

// read waits for messages after the sequence after. It may return none. After
// any error it may be called again; errNewConsumer is not a failure.
func (r *reader) read(ctx context.Context, after uint64) ([]delivered, error) {
	connection, broken := r.p.reconnected.current()
	if r.consumer == "" || r.connection != connection {
		if err := r.createConsumer(ctx, after, connection); err != nil {
			return nil, err
		}
		return nil, errNewConsumer
	}
	if err := r.startPull(); err != nil {
		r.consumer = ""
		return nil, err
	}
	select {
	case m := <-r.msgs:
		return r.takeMessages(m), nil
	default:
	}
	timer := time.NewTimer(time.Until(r.heard.Add(readSilence)))
	defer timer.Stop()
	select {
	case m := <-r.msgs:
		return r.takeMessages(m), nil
	case m := <-r.removals:
		r.removed = append(r.removed, m)
		return nil, nil
	case <-broken:
		return nil, nil
	case <-timer.C:
		r.consumer = ""
		return nil, fairlead.Errorf(fairlead.Unavailable, "the server has not been heard of for %v", readSilence)
	case <-ctx.Done():
		return nil, mapErr(ctx.Err(), false)
	}
}

// createConsumer creates a consumer that begins after a sequence.
func (r *reader) createConsumer(ctx context.Context, after uint64, connection int) error {
	r.consumer = ""
	if err := r.resubscribe(); err != nil {
		return err
	}
	name := randomName()
	err := r.p.createConsumer(ctx, r.stream, consumerConfig{
		Name: name, DeliverPolicy: "by_start_sequence", StartSeq: after + 1, AckPolicy: "none",
		Filter: r.filter, Replay: "instant", Inactive: consumerIdle, Replicas: 1, Memory: true,
	})
	if err != nil {
		if isAPI(err, codeStreamNotFound) {
			return fairlead.Errorf(fairlead.Compacted, "the stream was deleted: %w", err)
		}
		return err
	}
	r.consumer, r.connection, r.delivered, r.asked = name, connection, 0, false
	return nil
}

// resubscribe takes a new inbox, so that nothing of the last consumer comes.
func (r *reader) resubscribe() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.life.Err(); err != nil {
		return err
	}
	if r.sub != nil {
		_ = r.sub.Unsubscribe()
	}
	var err error
	r.msgs, r.sub, err = r.p.subscribe(2 * readBatch)
	return err
}

// startPull asks the consumer for messages, unless a request is under way.
func (r *reader) startPull() error {
	if r.asked {
		return nil
	}
	err := r.p.pull(r.stream, r.consumer, r.sub.Subject, pullRequest{
		Batch: readBatch, MaxBytes: max(readBytes, 2*int(r.p.nc.MaxPayload())), Expires: readExpires, Heartbeat: readHeartbeat,
	})
	if err == nil {
		r.asked, r.pulled, r.heard = true, 0, time.Now()
	}
	return err
}

// takeMessages returns the messages that are there, of which m is the first.
func (r *reader) takeMessages(m *natsgo.Msg) (all []delivered) {
	for {
		r.heard = time.Now()
		d, ok := r.takeMessage(m)
		if ok {
			all = append(all, d)
		}
		if r.consumer == "" {
			return all
		}
		select {
		case m = <-r.msgs:
		default:
			return all
		}
	}
}

// takeMessage handles a message or a status.
func (r *reader) takeMessage(m *natsgo.Msg) (d delivered, ok bool) {
	switch status := m.Header.Get("Status"); status {
	case "":
	case "100": // a heartbeat
		return d, false
	case "404", "408", "409":
		r.asked = false
		if status == "409" && m.Header.Get("Description") != "Message Size Exceeds MaxBytes" && m.Header.Get("Description") != "Batch Completed" {
			r.consumer = ""
		}
		return d, false
	default: // 503: there is no such consumer
		r.consumer = ""
		return d, false
	}
	meta, err := m.Metadata()
	if err != nil {
		r.consumer = ""
		return d, false
	}
	if meta.Sequence.Consumer != r.delivered+1 { // a message was dropped: begin after the last one
		r.consumer = ""
		return d, false
	}
	r.delivered = meta.Sequence.Consumer
	if r.pulled++; r.pulled == readBatch {
		r.asked = false
	}
	return delivered{m, meta.Sequence.Stream, meta.Sequence.Consumer, meta.NumPending, meta.Timestamp}, true
}
