package nats

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"fairlead.dev"
)

// streamConfig is what we set of the configuration of a stream.
type streamConfig struct {
	Name              string            `json:"name"`
	Description       string            `json:"description,omitempty"`
	Subjects          []string          `json:"subjects"`
	Retention         string            `json:"retention"`
	MaxConsumers      int               `json:"max_consumers"`
	MaxMsgs           int64             `json:"max_msgs"`
	MaxBytes          int64             `json:"max_bytes"`
	MaxAge            time.Duration     `json:"max_age"`
	MaxMsgsPerSubject int64             `json:"max_msgs_per_subject"`
	MaxMsgSize        int32             `json:"max_msg_size"`
	Discard           string            `json:"discard"`
	Storage           string            `json:"storage"`
	Replicas          int               `json:"num_replicas"`
	Duplicates        time.Duration     `json:"duplicate_window,omitempty"`
	AllowDirect       bool              `json:"allow_direct"`
	AllowRollup       bool              `json:"allow_rollup_hdrs"`
	AllowMsgTTL       bool              `json:"allow_msg_ttl"`
	AllowAtomic       bool              `json:"allow_atomic"`
	MarkerTTL         time.Duration     `json:"subject_delete_marker_ttl,omitempty"`
	Metadata          map[string]string `json:"metadata,omitempty"`

	streamSettings
}

// streamInfo is what we read of a stream.
type streamInfo struct {
	Config  streamConfig `json:"config"`
	Created time.Time    `json:"created"`
	Now     time.Time    `json:"ts"` // by the server's clock
	State   struct {
		First    uint64         `json:"first_seq"`
		Last     uint64         `json:"last_seq"`
		LastTime time.Time      `json:"last_ts"`
		Messages uint64         `json:"messages"`
		Deleted  int            `json:"num_deleted"` // between the first and the last
		Subjects map[string]int `json:"subjects"`
	} `json:"state"`
	Total int `json:"total"` // of the subjects, where they come in pages
}

// The metadata of a stream of ours.
const (
	metaForm  = "fairlead-form"  // of the subjects and headers: see formKV
	metaEpoch = "fairlead-epoch" // tells a stream from its predecessors of the same name
)

func (i streamInfo) epoch() string { return i.Config.Metadata[metaEpoch] }

// newStream is the configuration that all streams of ours have in common.
func (p *provider) newStream(kind, name, form string) streamConfig {
	epoch := randomName()
	return streamConfig{
		Name: p.streamName(kind, name), Description: "of fairlead.dev; see its package providers/nats",
		Subjects:  []string{p.config.prefix + "." + kind + "." + dotless(name) + "." + epoch + ".>"},
		Retention: "limits", MaxConsumers: -1, MaxMsgs: -1, MaxBytes: -1, MaxMsgsPerSubject: -1, MaxMsgSize: -1,
		Discard: "old", Storage: "file", Replicas: p.config.replicas,
		Metadata: map[string]string{metaForm: form, metaEpoch: epoch},
	}
}

// openStream returns the stream of that name, and creates it if need be.
// Creation is idempotent, so that a lost answer does no harm.
func (p *provider) openStream(ctx context.Context, want streamConfig) (streamInfo, error) {
	for {
		info, err := p.streamInfo(ctx, want.Name)
		if isAPI(err, codeStreamNotFound) {
			err = p.retryOpening(ctx, func() error {
				return p.callAPI(ctx, "STREAM.CREATE."+want.Name, want, &info, false)
			})
			if isAPI(err, codeStreamExists) {
				continue // another program created it first, or this call did
			}
		}
		if err != nil {
			return streamInfo{}, err
		}
		return info, checkStream(info.Config, want)
	}
}

func (p *provider) streamInfo(ctx context.Context, name string) (info streamInfo, err error) {
	err = p.callAPI(ctx, "STREAM.INFO."+name, nil, &info, false)
	return info, err
}

// streamNames returns the names of the stores or topics that start with prefix.
func (p *provider) streamNames(ctx context.Context, kind, prefix string) (names []string, err error) {
	streams, err := p.allStreams(ctx)
	for _, s := range streams {
		if name, ok := p.nameOf(kind, s); ok && strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names, err
}

// allStreams returns the names of all streams of the account.
func (p *provider) allStreams(ctx context.Context) ([]string, error) {
	var all []string
	for {
		var page struct {
			Total   int      `json:"total"`
			Streams []string `json:"streams"`
		}
		if err := p.callAPI(ctx, "STREAM.NAMES", map[string]int{"offset": len(all)}, &page, false); err != nil {
			return nil, err
		}
		all = append(all, page.Streams...)
		if len(all) >= page.Total || len(page.Streams) == 0 {
			return all, nil
		}
	}
}

// deleteStream is idempotent, so that a lost answer does no harm.
func (p *provider) deleteStream(ctx context.Context, name string) error {
	err := p.callAPI(ctx, "STREAM.DELETE."+name, nil, nil, true)
	if isAPI(err, codeStreamNotFound) {
		return nil
	}
	return err
}

// pubAck is the answer to a publication.
type pubAck struct {
	Error     *apiError `json:"error"`
	Stream    string    `json:"stream"`
	Seq       uint64    `json:"seq"`
	Duplicate bool      `json:"duplicate"`
}

// parseAck returns the answer to a publication, whose request ended with err.
func parseAck(a answer) (pubAck, error) {
	if a.err != nil {
		return pubAck{}, mapErr(a.err, true)
	}
	ack, ok := plainAck(a.msg.Data)
	if ok {
		return ack, nil
	}
	if err := json.Unmarshal(a.msg.Data, &ack); err != nil {
		return ack, fairlead.Errorf(fairlead.UnknownOutcome, "unexpected answer of the server: %w", err)
	}
	if ack.Error != nil {
		return ack, mapErr(ack.Error, true)
	}
	if ack.Seq == 0 {
		return ack, fairlead.Errorf(fairlead.UnknownOutcome, "unexpected answer of the server: %.100q", a.msg.Data)
	}
	return ack, nil
}

// plainAck reads the form that the server gives almost all acknowledgements,
// {"stream":"NAME","seq":7}, in a tenth of the time that JSON takes. ok is false
// for any other.
func plainAck(data []byte) (ack pubAck, ok bool) {
	rest, ok := bytes.CutPrefix(data, []byte(`{"stream":"`))
	if !ok {
		return pubAck{}, false
	}
	name, rest, _ := bytes.Cut(rest, []byte(`","seq":`))
	digits, ok := bytes.CutSuffix(rest, []byte("}"))
	if !ok || bytes.ContainsFunc(name, notOfStream) || len(digits) == 0 || digits[0] < '1' || digits[0] > '9' {
		return pubAck{}, false
	}
	seq, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil {
		return pubAck{}, false
	}
	return pubAck{Stream: string(name), Seq: seq}, true
}

// notOfStream reports whether a character does not appear in the names of our
// streams.
func notOfStream(r rune) bool {
	return r != '-' && r != '_' && r != '=' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}
