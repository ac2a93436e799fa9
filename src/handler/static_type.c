/*
 * Types of files by the last extension of their name.  Workers.
 */
#include "handler/static.h"

#define UTF8	"; charset=utf-8"

/* sorted by extension */
static const struct {
	const char	*ext;
	const char	*type;
} types[] = {
	{ "7z", "application/x-7z-compressed" },
	{ "aac", "audio/aac" },
	{ "apng", "image/apng" },
	{ "avif", "image/avif" },
	{ "bmp", "image/bmp" },
	{ "br", "application/x-brotli" },
	{ "bz2", "application/x-bzip2" },
	{ "cjs", "text/javascript" UTF8 },
	{ "css", "text/css" UTF8 },
	{ "csv", "text/csv" UTF8 },
	{ "docx", "application/vnd.openxmlformats-officedocument"
	    ".wordprocessingml.document" },
	{ "eot", "application/vnd.ms-fontobject" },
	{ "epub", "application/epub+zip" },
	{ "flac", "audio/flac" },
	{ "gif", "image/gif" },
	{ "gz", "application/gzip" },
	{ "htm", "text/html" UTF8 },
	{ "html", "text/html" UTF8 },
	{ "ico", "image/vnd.microsoft.icon" },
	{ "ics", "text/calendar" UTF8 },
	{ "jpeg", "image/jpeg" },
	{ "jpg", "image/jpeg" },
	{ "js", "text/javascript" UTF8 },
	{ "json", "application/json" },
	{ "jsonld", "application/ld+json" },
	{ "jxl", "image/jxl" },
	{ "log", "text/plain" UTF8 },
	{ "m3u8", "application/vnd.apple.mpegurl" },
	{ "m4a", "audio/mp4" },
	{ "m4v", "video/mp4" },
	{ "map", "application/json" },
	{ "md", "text/markdown" UTF8 },
	{ "mid", "audio/midi" },
	{ "mjs", "text/javascript" UTF8 },
	{ "mkv", "video/x-matroska" },
	{ "mov", "video/quicktime" },
	{ "mp3", "audio/mpeg" },
	{ "mp4", "video/mp4" },
	{ "mpd", "application/dash+xml" },
	{ "mpeg", "video/mpeg" },
	{ "odp", "application/vnd.oasis.opendocument.presentation" },
	{ "ods", "application/vnd.oasis.opendocument.spreadsheet" },
	{ "odt", "application/vnd.oasis.opendocument.text" },
	{ "oga", "audio/ogg" },
	{ "ogg", "audio/ogg" },
	{ "ogv", "video/ogg" },
	{ "opus", "audio/ogg" },
	{ "otf", "font/otf" },
	{ "pdf", "application/pdf" },
	{ "png", "image/png" },
	{ "pptx", "application/vnd.openxmlformats-officedocument"
	    ".presentationml.presentation" },
	{ "ps", "application/postscript" },
	{ "rar", "application/vnd.rar" },
	{ "rss", "application/rss+xml" },
	{ "rtf", "application/rtf" },
	{ "svg", "image/svg+xml" },
	{ "tar", "application/x-tar" },
	{ "tgz", "application/gzip" },
	{ "tif", "image/tiff" },
	{ "tiff", "image/tiff" },
	{ "ts", "video/mp2t" },
	{ "ttf", "font/ttf" },
	{ "txt", "text/plain" UTF8 },
	{ "vtt", "text/vtt" UTF8 },
	{ "wasm", "application/wasm" },
	{ "wav", "audio/wav" },
	{ "weba", "audio/webm" },
	{ "webm", "video/webm" },
	{ "webmanifest", "application/manifest+json" },
	{ "webp", "image/webp" },
	{ "woff", "font/woff" },
	{ "woff2", "font/woff2" },
	{ "xhtml", "application/xhtml+xml" },
	{ "xls", "application/vnd.ms-excel" },
	{ "xlsx", "application/vnd.openxmlformats-officedocument"
	    ".spreadsheetml.sheet" },
	{ "xml", "application/xml" },
	{ "xz", "application/x-xz" },
	{ "yaml", "application/yaml" },
	{ "yml", "application/yaml" },
	{ "zip", "application/zip" },
	{ "zst", "application/zstd" }
};

#define NTYPE		(sizeof(types) / sizeof(types[0]))
#define EXT_MAX		16

/* The last extension in lower case; 0: none, or a longer one. */
static size_t
find_ext(struct str name, char *ext)
{
	size_t	at = name.n, i, n;

	while (at > 0 && name.p[at - 1] != '.' && name.p[at - 1] != '/')
		at--;
	n = name.n - at;
	if (at == 0 || name.p[at - 1] != '.' || n == 0 || n > EXT_MAX)
		return 0;
	for (i = 0; i < n; i++) {
		ext[i] = name.p[at + i];
		if (ext[i] >= 'A' && ext[i] <= 'Z')
			ext[i] |= 0x20;
	}
	return n;
}

struct str
static_type(struct str name)
{
	char		ext[EXT_MAX];
	struct str	want = { ext, find_ext(name, ext) };
	size_t		lo = 0, hi = NTYPE, mid;
	int		c;

	while (want.n > 0 && lo < hi) {
		mid = lo + (hi - lo) / 2;
		c = str_cmp(want, str_from(types[mid].ext));
		if (c == 0)
			return str_from(types[mid].type);
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return STR("application/octet-stream");
}
