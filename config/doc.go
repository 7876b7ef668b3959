// Package config reads configuration from layers into a struct, keeps it up to
// date while the program runs, and writes settings that several programs share.
//
// # Layers
//
// [Load] reads layers once; [Watch] reads them and follows the layers that can
// change.
// A later layer overrides an earlier one, key by key; [github.com/knadh/koanf/v2]
// merges them. A typical program lists, from the least to the most important:
//
//	w, err := config.Watch[Settings](ctx,
//		config.File("app.yaml"),        // YAML, JSON or TOML, by extension; polled
//		config.Env("APP_"),             // read once
//		config.From(p, "app"),          // a provider; followed
//		config.Flags(flag.CommandLine), // the flags that were set; read once
//	)
//
// Below all of them lie the defaults of the struct: the tag default:"5s", or
// the layer [Defaults]. Lists are replaced as a whole; groups (structs and
// maps) are merged.
//
// [FromURL] names a layer by a URL: a program that takes the URL from its command
// line does not depend on whether its settings are in a file or on a backend.
//
// # Keys
//
// A key names a field by its path. Its parts are separated by "." or "/" in a
// provider and in [Map] and [Flags], by "__" in environment variables, and are
// nested groups in a file. A part matches a field whose name, or whose name in
// the tag config:"name", is the same without regard to case, "_" and "-":
// RATE_LIMIT, rate-limit and rateLimit are all the field RateLimit. Embedded
// structs count as part of the struct that embeds them. The tag config:"-"
// leaves a field out, and config:"name,secret" (or config:",secret") marks a
// secret; see Secrets. The keys of a map are taken as they are (in lower case from
// the environment). Only in a file can they contain a separator.
//
// A key that names no field is ignored; under [Strict] it rejects the update.
//
// # Values
//
// Values from providers, environment and flags are text: whole numbers in
// decimal, true or false, durations with a unit, any text that an
// [encoding.TextUnmarshaler] accepts, lists as a JSON array or separated by
// commas, groups as a JSON object. A field of type []byte takes the bytes as
// they are. An empty value is a value: an empty string for a string, an error
// for a number. It hides the layers below; a deleted key does not.
//
// Values in files have types, and nothing is converted silently: a number must
// fit its field, whole numbers of any size arrive exactly, a fraction is not a
// whole number, a number without a unit is not a duration, and 8080 is not a string
// unless it is quoted. In a field of type any, a whole number of a JSON file is an
// int64, or a uint64 if it is too large for one. A key that is given twice, and
// a second YAML document, make a file malformed. A byte order mark is skipped.
//
// # Updates
//
// [Watcher.Get] returns the present settings; it costs one atomic load. The struct
// is shared by all callers and never changed: do not change it.
//
// An update is applied whole: a layer's content is replaced at once, merged,
// decoded, and checked with T's or *T's method Validate() error if there is
// one. Where the source claims [Snapshot], all keys of one Set (or of one kv
// Txn) appear together. Where it does not, a reader may see a part of a Set for a
// while; [QuietPeriod] makes that less likely. If any step fails, the update is
// rejected: nothing changes, and [OnError] and [Watcher.Health] report the layer,
// the key and the reason (see [Rejected]). A layer's rejected content is tried
// again whenever another layer changes, since Validate may depend on both; it
// does not prevent the other layer's change.
//
// If a source cannot be reached, the present settings stay, Health reports it
// within seconds, and the watcher catches up when the source can be reached again.
// Changes in between may be skipped; the last state is always reached.
//
// The counter fairlead.config.updates (OpenTelemetry) has the attributes
// fairlead.config.layer and fairlead.config.outcome: applied, rejected or
// unreachable, which counts how often a layer became unreachable.
//
// [Watcher.OnChange] registers a function to call after each change, and the
// function [OnChange] one to call after each change of a part. All callbacks of a
// watcher are called in order and never concurrently; a panic in one is contained
// and reported.
//
// # Where a value comes from
//
// [Watcher.Explain] lists, for each key, the layers that have it, the value that
// applies, and the values that are rejected at present. The function [Explain] and
// the command "fairlead config explain" do so without a watcher, even for layers
// that do not decode.
//
// # Secrets
//
// No error of this package contains a value, secret or not, or the text of a
// file's parser, which may quote the file. The value of a field that is marked
// as secret (of a group: everything in it) is [Redacted] in explanations, in the
// result of [Redact], and wherever it occurs in the text of an error that Validate
// returned or of a callback's panic. The struct itself contains the secrets: a
// program that prints it prints them. Without a struct, for example in the
// command, [SecretName] decides by the name of the key.
//
// # Sources
//
// [Open] gives access to the settings of a provider as they are: keys with
// bytes. A provider that describes the config facet has its own; otherwise the
// settings named X are the keys of the kv store named X, if the kv facet claims
// kv.List and kv.Watch. [Describe] says which claims hold in either case. A
// kv.Store of that name reaches the same keys. Set gives no key a time to live; a
// key that was written with one through a kv.Store is removed when it ends.
//
// # Limits
//
// Files are polled and never locked. A content is used only after two polls in
// a row have seen it, half a second apart, which hides most half-written files.
// That holds for the first reading, too, which therefore takes half a second, and
// for a file that was away. It takes no time if the file was last modified more
// than a second before. If the writer pauses for a second, a half-written file is
// used if it is well-formed. To be sure,
// write another file and rename it, as editors and Kubernetes do. Two files
// are two layers, also in one ConfigMap: their changes may be applied one after
// the other. Environment variables and flags are not read again.
package config
