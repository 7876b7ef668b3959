package nats

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// The records of a group's ordering keys have to be written before a message can
// be handed out or acknowledged. A server whose storage is full refuses the write,
// and would never get room again. So the records of a topic are in layers, which
// are streams: the lowest one is a file, and when the server has no more room for
// it, another one above it is in memory. When there is room again, a further one
// above that is a file.
//
//   - A record is read in the highest layer that has it, and written in the highest
//     layer.
//   - Nothing is written in a layer as soon as there is one above it. The server
//     enforces it: the layer is frozen, which means that it takes no message longer
//     than a byte. A consumer whose write is refused looks for the layers again.
//   - A layer is used only after all layers below it have been frozen. So a record in
//     a lower layer does not change any more, and the first consumer that creates the
//     record in the highest layer has replaced it.
//   - The records of lower layers are moved up by and by. An empty layer is deleted.
//
// Layers in memory end with their server, or with a majority of their replicas.
// Then the highest layer that is left is a frozen one, and the records in it that
// hold a token may be old: they are deleted, and the group falls back to what the
// server knows. Messages that were acknowledged may come again; none is lost.

const (
	// frozenSize is max_msg_size of a frozen layer.
	frozenSize = 1
	onFile     = "file"
	inMemory   = "memory"
)

// layer is a stream of records.
type layer struct {
	*store
	index   int
	storage string
	frozen  bool
}

// layers are what a records has found, from the lowest to the highest. Each search has
// a list of its own, by which a write knows that no layer was added since.
type layers []*layer

func (l layers) top() *layer { return l[len(l)-1] }

func (l layers) same(other layers) bool {
	return len(l) > 0 && len(other) > 0 && l[0] == other[0] // each search makes new ones
}

// in reports whether the layer has the record.
func (v recordVersion) in(l *layer) bool { return v.layer != nil && v.layer.epoch == l.epoch }

// sharedRecords is the records of a group, which its consumers share. Its layers are
// stores of the kv facet, except for their names, {prefix}-psk-{topic}, and
// {prefix}-pskN-{topic} for the later ones. The first one is created with the first
// message that has a key.
type sharedRecords struct {
	p      *provider
	topic  string
	prefix string // of the records of the group as it was created last
	life   *providers.Lifetime

	mu     sync.Mutex
	layers layers // nil: to be looked for
	used   bool   // there was a message with a key
}

func newSharedRecords(p *provider, topic, prefix string) *sharedRecords {
	return &sharedRecords{p: p, topic: topic, prefix: prefix, life: p.life.Child("subscription")}
}

func (b *sharedRecords) close() { b.life.End() }

// opened returns the layers, and looks for them if need be. There is at least one.
func (b *sharedRecords) opened(ctx context.Context) (layers, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.layers != nil {
		return b.layers, nil
	}
	b.used = true
	found, err := b.findLayers(ctx)
	if err == nil {
		b.layers = found
	}
	return found, err
}

// forget makes the next call look for the layers again.
func (b *sharedRecords) forget(l layers) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.layers.same(l) {
		b.layers = nil
	}
}

// findLayers returns the layers, of which all but the highest are frozen. It
// creates the first one if there is none.
func (b *sharedRecords) findLayers(ctx context.Context) (layers, error) {
	for {
		infos, err := b.p.layerStreams(ctx, b.topic)
		if err != nil {
			return nil, err
		}
		if len(infos) == 0 {
			if err := b.p.createLayer(ctx, b.topic, 0, onFile); err != nil {
				return nil, err
			}
			providers.Pause(ctx, conflictPause) // in a cluster, a new stream is not listed at once
			continue
		}
		found := make(layers, len(infos))
		for i, info := range infos {
			if found[i], err = b.newLayer(info); err != nil {
				return nil, err
			}
		}
		if top := found.top(); top.frozen { // the layer above it was lost
			if err := b.repairLayers(ctx, found); err != nil {
				return nil, err
			}
			if err := b.createAbove(ctx, top); err != nil {
				return nil, err
			}
			continue
		}
		return found, b.freezeBelow(ctx, found)
	}
}

func (b *sharedRecords) newLayer(info layerInfo) (*layer, error) {
	if info.Config.Metadata[metaForm] != formRecords || info.epoch() == "" {
		return nil, invalid("the stream %q exists and is not one of this provider, or of another version; delete it, or open with another prefix", info.Config.Name)
	}
	return &layer{
		store: b.p.newStore(info.streamInfo, b.life), index: info.index,
		storage: info.Config.Storage, frozen: info.Config.MaxMsgSize == frozenSize,
	}, nil
}

// createAbove creates the layer above a frozen one: a file, or in memory if the
// storage for files is full.
func (b *sharedRecords) createAbove(ctx context.Context, top *layer) error {
	full, err := b.p.storageFull(ctx, b.topic)
	if err != nil {
		return err
	}
	storage := onFile
	if full {
		storage = inMemory
	}
	return b.p.createLayer(ctx, b.topic, top.index+1, storage)
}

// freezeBelow freezes all layers but the highest.
func (b *sharedRecords) freezeBelow(ctx context.Context, l layers) error {
	for _, lower := range l[:len(l)-1] {
		if !lower.frozen {
			if err := b.p.freeze(ctx, lower.stream); err != nil {
				return err
			}
			lower.frozen = true
		}
	}
	return nil
}

// repairLayers drops what may be wrong in the frozen layers after the layer above
// them was lost: records that hold a token. A token that was settled since would
// never come again, and so hold back its key for good.
func (b *sharedRecords) repairLayers(ctx context.Context, l layers) error {
	for _, lower := range l {
		err := lower.eachRecord(ctx, "", func(e kvdriver.Entry, r keyRecord) error {
			if r.Token == 0 {
				return nil
			}
			return lower.removeRecord(ctx, e)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// read implements keyRecords.
func (b *sharedRecords) read(ctx context.Context, hash string) (keyRecord, recordVersion, error) {
	l, err := b.opened(ctx)
	if err != nil {
		return keyRecord{}, recordVersion{}, err
	}
	v := recordVersion{layers: l}
	for _, at := range slices.Backward(l) {
		r := at.Do(ctx, []kvdriver.Op{{Kind: kvdriver.OpGet, Key: b.prefix + hash}})[0]
		switch fairlead.CodeOf(r.Err) {
		case 0:
			v.revision, v.layer = string(r.Revision), at.store
			record, err := parseKeyRecord(r.Value)
			if err != nil { // what the server knows counts, and the record is replaced
				b.p.logger.Warn("nats: a record of an ordering key is replaced", slog.String("stream", at.stream), slog.Any("error", err))
				record, v.damaged = keyRecord{}, true
			}
			return record, v, nil
		case fairlead.NotFound:
		default:
			b.forget(l) // a layer may have been deleted
			return keyRecord{}, v, r.Err
		}
	}
	return keyRecord{}, v, nil
}

// write implements keyRecords.
func (b *sharedRecords) write(ctx context.Context, hash string, r keyRecord, v recordVersion) (recordVersion, error) {
	l, err := b.opened(ctx)
	if err != nil {
		return v, err
	}
	if !l.same(v.layers) {
		return v, conflict(hash)
	}
	value, err := json.Marshal(r)
	if err != nil {
		return v, fairlead.Errorf(fairlead.Internal, "%w", err)
	}
	top := l.top()
	op := kvdriver.Op{Kind: kvdriver.OpCreate, Key: b.prefix + hash, Value: value}
	if v.in(top) {
		op.Kind, op.Revision = kvdriver.OpCAS, kvdriver.Revision(v.revision)
	}
	done := top.Do(ctx, []kvdriver.Op{op})[0]
	if done.Err == nil {
		return recordVersion{revision: string(done.Revision), layer: top.store, layers: l}, nil
	}
	return v, b.explainRefusal(ctx, hash, l, done.Err)
}

// explainRefusal returns Conflict if the write of a record should be tried again
// after another read, because of a layer that was added. It adds one if the server
// is full.
func (b *sharedRecords) explainRefusal(ctx context.Context, hash string, l layers, err error) error {
	top := l.top()
	switch {
	case isFull(err) && top.storage == onFile:
		if add := b.p.createLayer(ctx, b.topic, top.index+1, inMemory); add != nil {
			return errors.Join(err, fairlead.Errorf(fairlead.CodeOf(add), "the records of ordering keys cannot be kept in memory meanwhile: %w", add))
		}
	case isAPI(err, codeMessageTooLarge):
		infos, findErr := b.p.layerStreams(ctx, b.topic)
		if findErr != nil {
			return findErr
		}
		if n := len(infos); n > 0 && infos[n-1].epoch() == top.epoch {
			return err // no layer was added: an operator has set max_msg_size
		}
	case fairlead.CodeOf(err) == fairlead.Unavailable:
		b.forget(l) // a layer may have been deleted
		return err
	default:
		return err
	}
	b.forget(l)
	return conflict(hash)
}

// sweep implements keyRecords. With more than one layer, it moves the group's
// records up instead.
func (b *sharedRecords) sweep(ctx context.Context, floor uint64) error {
	b.mu.Lock()
	used := b.used
	b.mu.Unlock()
	if !used {
		return nil
	}
	l, err := b.opened(ctx)
	if err != nil {
		return err
	}
	if err = b.sweepLayers(ctx, l, floor); err != nil {
		b.forget(l)
	}
	if isAPI(err, codeStreamNotFound) {
		return nil // another consumer has deleted an empty layer
	}
	return err
}

func (b *sharedRecords) sweepLayers(ctx context.Context, l layers, floor uint64) error {
	if len(l) > 1 {
		return b.moveUp(ctx, l, floor)
	}
	top := l.top()
	if top.storage == inMemory {
		return b.leaveMemory(ctx, l)
	}
	return top.eachRecord(ctx, b.prefix, func(e kvdriver.Entry, r keyRecord) error {
		if !r.idle(floor) {
			return nil
		}
		return top.removeRecord(ctx, e)
	})
}

// leaveMemory adds a layer on file if there is room for it.
func (b *sharedRecords) leaveMemory(ctx context.Context, l layers) error {
	full, err := b.p.storageFull(ctx, b.topic)
	if err != nil || full {
		return err
	}
	err = b.p.createLayer(ctx, b.topic, l.top().index+1, onFile)
	b.forget(l)
	return err
}

// moveUp moves the group's records to the highest layer, and deletes layers that
// are empty.
func (b *sharedRecords) moveUp(ctx context.Context, l layers, floor uint64) error {
	if l.top().storage == inMemory {
		return b.leaveMemory(ctx, l)
	}
	for _, lower := range l[:len(l)-1] {
		err := lower.eachRecord(ctx, b.prefix, func(e kvdriver.Entry, r keyRecord) error {
			hash := strings.TrimPrefix(e.Key, b.prefix)
			_, v, err := b.read(ctx, hash)
			if err == nil && v.in(lower) && !r.idle(floor) {
				if _, err = b.write(ctx, hash, r, v); isConflict(err) {
					return nil // next time
				}
			}
			if err != nil {
				return err
			}
			return lower.removeRecord(ctx, e)
		})
		if err != nil {
			return err
		}
		info, err := b.p.streamInfo(ctx, lower.stream)
		if err == nil && info.epoch() == lower.epoch && info.State.Messages == 0 {
			b.forget(l)
			return b.p.deleteStream(ctx, lower.stream) // the others follow later
		}
		if err != nil && !isAPI(err, codeStreamNotFound) {
			return err
		}
	}
	return nil
}

// eachRecord calls f for the records of a layer whose key has the prefix, several
// at a time.
func (l *layer) eachRecord(ctx context.Context, prefix string, f func(kvdriver.Entry, keyRecord) error) error {
	for token := ""; ; {
		page, err := l.List(ctx, kvdriver.ListRequest{Prefix: prefix, Token: token, Limit: pageEntries})
		if err != nil {
			return err
		}
		errs := make([]error, len(page.Entries))
		var group sync.WaitGroup
		free := make(chan struct{}, keysAtOnce)
		for i, e := range page.Entries {
			r, err := parseKeyRecord(e.Value)
			if err != nil {
				continue // nobody can say what it means
			}
			free <- struct{}{}
			group.Go(func() {
				defer func() { <-free }()
				errs[i] = f(e, r)
			})
		}
		group.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		if token = page.Token; token == "" {
			return nil
		}
	}
}

// removeRecord deletes a record unless it has changed. It takes no room, and
// leaves none of the markers that a Delete leaves.
func (l *layer) removeRecord(ctx context.Context, e kvdriver.Entry) error {
	r, _, err := l.parseRevision(e.Revision)
	if err != nil {
		return err
	}
	_, err = l.removeMessage(ctx, r.seq)
	return err
}

// layerInfo is the stream of a layer.
type layerInfo struct {
	streamInfo
	index int
}

// layerStreams returns the streams of a topic's layers, from the lowest to the
// highest.
func (p *provider) layerStreams(ctx context.Context, topic string) ([]layerInfo, error) {
	var page struct {
		Streams []string `json:"streams"`
	}
	filter := p.config.prefix + ".*." + dotless(topic) + ".>"
	// One page has 1,024 names; a topic has a few layers.
	if err := p.callAPI(ctx, "STREAM.NAMES", map[string]any{"offset": 0, "subject": filter}, &page, false); err != nil {
		return nil, err
	}
	var found []layerInfo
	for _, name := range page.Streams {
		index, ok := p.layerIndex(topic, name)
		if !ok {
			continue
		}
		info, err := p.streamInfo(ctx, name)
		if isAPI(err, codeStreamNotFound) {
			continue // it was deleted since
		}
		if err != nil {
			return nil, err
		}
		found = append(found, layerInfo{info, index})
	}
	slices.SortFunc(found, func(a, b layerInfo) int { return a.index - b.index })
	return found, nil
}

// layerIndex returns which layer of a topic a stream is.
func (p *provider) layerIndex(topic, stream string) (index int, ok bool) {
	rest, ok := strings.CutPrefix(stream, p.config.prefix+"-"+kindRecords)
	number, ok2 := strings.CutSuffix(rest, "-"+dotless(topic))
	if !ok || !ok2 {
		return 0, false
	}
	if number == "" {
		return 0, true
	}
	index, err := strconv.Atoi(number)
	return index, err == nil && index > 0 && strconv.Itoa(index) == number
}

// createLayer creates a layer, unless it exists.
func (p *provider) createLayer(ctx context.Context, topic string, index int, storage string) error {
	kind := kindRecords
	if index > 0 {
		kind += strconv.Itoa(index)
	}
	want := p.newStoreStream(kind, topic, formRecords)
	want.Storage = storage
	err := p.retryOpening(ctx, func() error { return p.callAPI(ctx, "STREAM.CREATE."+want.Name, want, nil, false) })
	if isAPI(err, codeStreamExists) {
		return nil
	}
	return err
}

// deleteLayers deletes the layers of a topic.
func (p *provider) deleteLayers(ctx context.Context, topic string) error {
	found, err := p.layerStreams(ctx, topic)
	if err != nil {
		return err
	}
	for _, l := range found {
		if err := p.deleteStream(ctx, l.Config.Name); err != nil {
			return err
		}
	}
	return nil
}

// freeze makes a stream refuse all messages. When it returns, none is under way
// any more: the purge, which removes nothing, comes after them.
func (p *provider) freeze(ctx context.Context, stream string) error {
	var subjects []string
	err := p.updateStream(ctx, stream, func(config map[string]json.RawMessage) error {
		config["max_msg_size"] = strconv.AppendInt(nil, frozenSize, 10)
		return json.Unmarshal(config["subjects"], &subjects)
	})
	if err != nil {
		return err
	}
	none := map[string]string{"filter": strings.TrimSuffix(subjects[0], ">") + "none"} // a stream has a subject
	return p.callAPI(ctx, "STREAM.PURGE."+stream, none, nil, true)
}

// storageFull reports whether the server refuses messages of a topic for lack of
// room. It offers one that the server refuses in any case, but first of all for
// lack of room.
func (p *provider) storageFull(ctx context.Context, topic string) (bool, error) {
	info, err := p.streamInfo(ctx, p.streamName(kindPubSub, topic))
	if err != nil {
		return false, err
	}
	m := &natsgo.Msg{
		Subject: strings.TrimSuffix(info.Config.Subjects[0], ">") + "m",
		Header:  natsgo.Header{hdrExpectedLast: {strconv.FormatUint(math.MaxUint64, 10)}},
	}
	reply, sent, err := p.requestUntilTaken(ctx, m)
	if err != nil {
		return false, mapErr(err, sent)
	}
	_, err = parseAck(answer{msg: reply})
	switch {
	case isFull(err):
		return true, nil
	case isAPI(err, codeWrongLast):
		return false, nil
	case err == nil:
		err = fairlead.Errorf(fairlead.Internal, "the server took a message whose condition cannot hold")
	}
	return false, err
}
