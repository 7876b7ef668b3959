package nats

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
	"fairlead.dev/rpc/driver"
)

const (
	maxFrameBytes = 16 << 20
	// beatEvery is how often each end of a stream says that it lives, if it sends
	// nothing else. silence is how long the other end waits for that.
	beatEvery = time.Second
	silence   = 4 * time.Second
	// packetRoom is what a packet needs besides its body.
	packetRoom = 512
	// roomForCall is what most calls take, without their frames.
	roomForCall = 128
	// A call that no server takes is offered again a few times: a server that
	// has just begun to listen may not be known everywhere yet.
	offers     = 4
	offerPause = 60 * time.Millisecond
)

// rpcFacet says what the rpc facet promises.
func (p *provider) rpcFacet() fairlead.FacetDescription {
	return fairlead.FacetDescription{
		Facet: fairlead.RPC,
		Claims: []fairlead.Claim{
			fairlead.Shared, driver.ClaimFullDuplex, driver.ClaimFlowControl,
			driver.ClaimFastNoResponder, driver.ClaimLoadBalance,
		},
		Missing: []fairlead.Missing{{Claim: driver.ClaimDirectory, Reason: "calls go through the broker; use etcd:// or redis:// for addresses"}},
		Limits:  fairlead.Limits{MaxFrameBytes: maxFrameBytes},
	}
}

// carrier holds the streams of one provider. All of them share one subscription,
// and each has an address below its subject.
type carrier struct {
	p      *provider
	prefix string // of the addresses
	named  atomic.Uint64
	open   atomic.Int64 // streams
	sub    *natsgo.Subscription

	calls   *outbox // by the subject of their service
	answers *outbox // by the prefix of the process that they go to

	mu      sync.Mutex
	streams map[string]*stream // by the address's last token
	clients map[string]*stream // the servers' ends, by the client's address
	beating bool
}

func newCarrier(p *provider) *carrier {
	c := &carrier{p: p, streams: map[string]*stream{}, clients: map[string]*stream{}}
	c.calls, c.answers = newOutbox(p.life.Context(), c.postCalls), newOutbox(p.life.Context(), c.postAnswers)
	return c
}

// attach is called once, before the first stream.
func (c *carrier) attach() (err error) {
	c.prefix = c.p.nc.NewInbox() + "."
	if c.sub, err = c.p.nc.Subscribe(c.prefix+"*", c.receive); err != nil {
		return err
	}
	return c.sub.SetPendingLimits(-1, -1) // credits bound the number of waiting packets
}

func (p *provider) serviceSubject(service string) string {
	return p.config.prefix + ".rpc.call." + dotless(service)
}

// cancelSubject returns the subject on which a client cancels a call whose
// server it does not know.
func (p *provider) cancelSubject(service string) string {
	return p.config.prefix + ".rpc.cancel." + dotless(service)
}

func (c *carrier) receive(m *natsgo.Msg) {
	token := m.Subject[len(c.prefix):]
	switch {
	case strings.HasPrefix(token, batchToken):
		c.receiveBatch(m)
	case len(m.Data) == 0 && m.Header.Get("Status") == "503":
		if s := c.find(token); s != nil {
			s.handleNoResponder()
		}
	default:
		c.deliver(token, m.Reply, m.Data)
	}
}

// deliver hands a packet to its stream.
func (c *carrier) deliver(token, from string, data []byte) {
	if s := c.find(token); s != nil {
		s.receive(from, data)
	} else {
		c.reset(from, data)
	}
}

// reset tells the sender of a packet that the stream does not exist.
func (c *carrier) reset(from string, data []byte) {
	if k, err := parsePacket(data); err == nil && from != "" && k.kind != packetReset && k.kind != packetClose {
		_ = c.p.nc.Publish(from, appendPacket(nil, packet{kind: packetReset})) // or the silence tells it
	}
}

func (c *carrier) find(token string) *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams[token]
}

// add registers a stream, and begins to beat with the first.
func (c *carrier) add(s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams[s.token()] = s
	c.open.Store(int64(len(c.streams)))
	if s.server {
		c.clients[s.peer] = s
	}
	if !c.beating {
		c.beating = true
		go c.beat()
	}
}

func (c *carrier) remove(s *stream) {
	if !s.removed.CompareAndSwap(false, true) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, s.token())
	if s.server {
		delete(c.clients, s.peer)
	}
	c.open.Store(int64(len(c.streams)))
}

// findByClient returns the stream of a server that has this client.
func (c *carrier) findByClient(client string) *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clients[client]
}

// beat lets all streams look at the time, while there are any.
func (c *carrier) beat() {
	ticker := time.NewTicker(beatEvery / 4)
	defer ticker.Stop()
	for {
		select {
		case <-c.p.life.Done():
			return
		case <-ticker.C:
			all := c.all()
			if all == nil {
				return
			}
			now := sinceBeginning()
			for _, s := range all {
				s.beat(now)
			}
		}
	}
}

// all returns the streams; none ends the beat.
func (c *carrier) all() []*stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beating = len(c.streams) > 0
	return slices.Collect(maps.Values(c.streams))
}

// each calls f for every stream.
func (c *carrier) each(f func(*stream)) {
	c.mu.Lock()
	all := slices.Collect(maps.Values(c.streams))
	c.mu.Unlock()
	for _, s := range all {
		f(s)
	}
}

// failAll ends the streams of a connection that broke: it is not known which of
// their packets arrived.
func (c *carrier) failAll() {
	err := fairlead.Errorf(fairlead.Unavailable, "the connection to the server broke under the call")
	c.each(func(s *stream) { s.fail(err) })
}

// OpenStream implements the rpc driver's Carrier.
func (p *provider) OpenStream(ctx context.Context, cfg driver.StreamConfig) (driver.Stream, error) {
	if err := p.life.Check(ctx); err != nil {
		return nil, err
	}
	s := p.streams.newStream()
	s.service = cfg.Service
	s.sent, s.offer = 1, openPacket(cfg.Call, cfg.InitialFrames)
	rest := cfg.InitialFrames
	if len(s.offer) <= p.packetBody() {
		rest = nil
	} else if s.offer = openPacket(cfg.Call, nil); len(s.offer) > p.packetBody() {
		return nil, fairlead.Errorf(fairlead.TooLarge, "the metadata of the call has %d bytes, the server takes %d", len(s.offer), p.packetBody())
	}
	if rest != nil {
		s.pending = [][]byte{appendFrames(nil, rest)}
	}
	p.streams.add(s)
	if err := s.offerCall(); err != nil {
		p.streams.remove(s)
		return nil, err
	}
	return s, nil
}

// openPacket offers a call.
func openPacket(c driver.Call, first []driver.Frame) []byte {
	b := appendPacket(make([]byte, 0, roomForCall+roomFor(first)), packet{kind: packetOpen})
	return appendFrames(appendCall(b, c), first)
}

// packetBody is the longest body of a packet.
func (p *provider) packetBody() int { return int(p.nc.MaxPayload()) - packetRoom }
