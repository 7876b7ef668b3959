package convert

import (
	"errors"
	"math"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// FromError returns the message for an error, and nil for nil. The cause does
// not cross; its text does.
func FromError(err error) *pluginpb.Error {
	if err == nil {
		return nil
	}
	var e *fairlead.Error
	text := err.Error()
	if errors.As(err, &e) {
		bare := *e
		bare.Op, bare.Provider = "", ""
		if text = bare.Message; text == "" && bare.Err != nil {
			text = bare.Err.Error()
		}
	}
	return &pluginpb.Error{Code: pluginpb.Code(fairlead.CodeOf(err)), Message: strings.ToValidUTF8(text, "\uFFFD")}
}

// ToError returns the error for a message, and nil for nil. A code that is not
// known is Internal.
func ToError(e *pluginpb.Error) error {
	if e == nil {
		return nil
	}
	code := fairlead.Code(e.Code)
	if e.Code < pluginpb.Code_CODE_NOT_FOUND || e.Code > pluginpb.Code_CODE_INTERNAL {
		code = fairlead.Internal
	}
	return &fairlead.Error{Code: code, Message: e.Message}
}

// FromDescription returns the message for a description.
func FromDescription(d fairlead.Description) *pluginpb.Description {
	return &pluginpb.Description{
		Provider: d.Provider, System: d.System, Version: d.Version, Endpoint: d.Endpoint,
		Generation: d.Generation, Notes: d.Notes, Volatile: d.Volatile,
		Facets: each(d.Facets, fromFacet),
	}
}

func fromFacet(f fairlead.FacetDescription) *pluginpb.FacetDescription {
	return &pluginpb.FacetDescription{
		Facet:  string(f.Facet),
		Claims: each(f.Claims, func(c fairlead.Claim) string { return string(c) }),
		Missing: each(f.Missing, func(m fairlead.Missing) *pluginpb.Missing {
			return &pluginpb.Missing{Claim: string(m.Claim), Reason: m.Reason, Remedy: m.Remedy}
		}),
		Bases: each(f.Bases, func(b fairlead.Basis) *pluginpb.Basis {
			return &pluginpb.Basis{Claim: string(b.Claim), Kind: string(b.Kind), Detail: b.Detail}
		}),
		Limits: fromLimits(f.Limits),
	}
}

func fromLimits(l fairlead.Limits) *pluginpb.Limits {
	return &pluginpb.Limits{
		MaxKeyBytes: int64(l.MaxKeyBytes), MaxValueBytes: int64(l.MaxValueBytes), MaxTxnOps: int64(l.MaxTxnOps),
		MaxBatch: int64(l.MaxBatch), Pipelines: int64(l.Pipelines),
		TtlResolutionNanos: int64(l.TTLResolution), MinTtlNanos: int64(l.MinTTL), MaxTtlNanos: int64(l.MaxTTL),
		MaxMessageBytes: int64(l.MaxMessageBytes), MinAckDeadlineNanos: int64(l.MinAckDeadline), MaxAckDeadlineNanos: int64(l.MaxAckDeadline),
		MaxDelayNanos: int64(l.MaxDelay), DedupeWindowNanos: int64(l.DedupeWindow), MaxFrameBytes: int64(l.MaxFrameBytes),
	}
}

// ToDescription returns the description of a message.
func ToDescription(d *pluginpb.Description) fairlead.Description {
	return fairlead.Description{
		Provider: d.GetProvider(), System: d.GetSystem(), Version: d.GetVersion(), Endpoint: d.GetEndpoint(),
		Generation: d.GetGeneration(), Notes: d.GetNotes(), Volatile: d.GetVolatile(),
		Facets: each(d.GetFacets(), toFacet),
	}
}

func toFacet(f *pluginpb.FacetDescription) fairlead.FacetDescription {
	return fairlead.FacetDescription{
		Facet:  fairlead.Facet(f.Facet),
		Claims: each(f.Claims, func(c string) fairlead.Claim { return fairlead.Claim(c) }),
		Missing: each(f.Missing, func(m *pluginpb.Missing) fairlead.Missing {
			return fairlead.Missing{Claim: fairlead.Claim(m.Claim), Reason: m.Reason, Remedy: m.Remedy}
		}),
		Bases: each(f.Bases, func(b *pluginpb.Basis) fairlead.Basis {
			return fairlead.Basis{Claim: fairlead.Claim(b.Claim), Kind: fairlead.BasisKind(b.Kind), Detail: b.Detail}
		}),
		Limits: toLimits(f.Limits),
	}
}

func toLimits(l *pluginpb.Limits) fairlead.Limits {
	return fairlead.Limits{
		MaxKeyBytes: toCount(l.GetMaxKeyBytes()), MaxValueBytes: toCount(l.GetMaxValueBytes()), MaxTxnOps: toCount(l.GetMaxTxnOps()),
		MaxBatch: toCount(l.GetMaxBatch()), Pipelines: toCount(l.GetPipelines()),
		TTLResolution: toDuration(l.GetTtlResolutionNanos()), MinTTL: toDuration(l.GetMinTtlNanos()), MaxTTL: toDuration(l.GetMaxTtlNanos()),
		MaxMessageBytes: toCount(l.GetMaxMessageBytes()), MinAckDeadline: toDuration(l.GetMinAckDeadlineNanos()), MaxAckDeadline: toDuration(l.GetMaxAckDeadlineNanos()),
		MaxDelay: toDuration(l.GetMaxDelayNanos()), DedupeWindow: toDuration(l.GetDedupeWindowNanos()), MaxFrameBytes: toCount(l.GetMaxFrameBytes()),
	}
}

// toCount returns a number of a message that no driver needs below 0. A plugin may
// send anything.
func toCount(n int64) int { return int(min(max(n, 0), math.MaxInt)) }

func toDuration(nanos int64) time.Duration { return time.Duration(max(nanos, 0)) }
