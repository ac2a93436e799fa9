#!/bin/sh
#
# Completion of sluiced and sluicectl for bash or zsh, made from the
# programs' own tables: completion.sh bash|zsh SLUICED SLUICECTL

set -eu
shell=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"$2" --dump-words >"$tmp/d"
"$3" --dump-words >"$tmp/c"

# words FILE KIND COLUMN ...: the columns of that kind in one line
words()
{
	file=$1 kind=$2
	shift 2
	awk -F '\t' -v kind="$kind" -v cols="$*" '
		BEGIN { n = split(cols, col, " ") }
		$1 == kind {
			for (i = 1; i <= n; i++)
				if ($col[i] != "")
					printf "%s%s", sep++ ? " " : "", $col[i]
		}' "$tmp/$file"
}

# options of the program that take a value
valued()
{
	awk -F '\t' '$1 == "option" && $4 != "" {
		for (i = 2; i <= 3; i++)
			if ($i != "")
				printf "%s%s", sep++ ? "|" : "", $i
	}' "$tmp/$1"
}

# arms of a case: what may stand behind --set
keys()
{
	awk -F '\t' '
		$1 != "key" { next }
		!($2 in seen) { order[++n] = $2; seen[$2] = $3 }
		{ k = $4; sub(/\*$/, "", k); list[$2] = list[$2] " " k }
		END {
			for (i = 1; i <= n; i++)
				printf "\t%s) keys=\"%s\" kind=%s ;;\n",
				    order[i], substr(list[order[i]], 2),
				    seen[order[i]]
		}' "$tmp/d"
}

# arms of a case: values of TYPE.KEY
values()
{
	awk -F '\t' '$1 == "key" && $5 != "" {
		printf "\t%s.%s) vals=\"%s\" ;;\n", $2, $4, $5
	}' "$tmp/d"
}

# arms of a case: words behind a command
commands()
{
	awk -F '\t' '
		$1 == "command" {
			n = split($2, w, " ")
			more = n > 1 ? w[2] : ""
			m = split($3, part, /[][ |]+/)
			for (i = 1; i <= m; i++)
				if (part[i] ~ /^-/)
					more = more " " part[i]
			one = $3
			sub(/ .*/, "", one)
			if (one ~ /^[a-z]+([|][a-z]+)+$/) {
				gsub(/[|]/, " ", one)
				more = more " " one
			}
			if (!(w[1] in list))
				order[++k] = w[1]
			list[w[1]] = list[w[1]] " " more
		}
		END {
			for (i = 1; i <= k; i++) {
				gsub(/^ +| +$/, "", list[order[i]])
				if (list[order[i]] != "")
					printf "\t%s) more=\"%s\" ;;\n",
					    order[i], list[order[i]]
			}
		}' "$tmp/c"
}

common()
{
	cat <<EOF
# Made by contrib/completion.sh from the tables of sluiced and sluicectl.

# the keys of a section type and whether its sections have names
_sluice_keys()
{
	keys='' kind=''
	case \$1 in
$(keys)
	esac
}

# the values of TYPE.KEY, where they are few
_sluice_values()
{
	vals=''
	case \$1 in
$(values)
	esac
}

# the names that the sections of a type have in the file
_sluice_names()
{
	"\$2" --dump-set \${3:+-c "\$3"} 2>/dev/null |
	    sed -n "s/^\\\\[\$1 \\\\([a-z0-9_-]*\\\\)\\\\]\$/\\\\1/p"
}

# what --set may go on with: WORD PROGRAM FILE; one a line
_sluice_set()
{
	local IFS=' ' word=\$1 type rest name keys kind k front=''
	type=\${word%%.*}
	if [ "\$type" = "\$word" ]; then
		printf '%s\n' $(awk -F '\t' '$1 == "key" && !seen[$2]++ {
			printf "%s. ", $2 }' "$tmp/d")defaults.
		return
	fi
	rest=\${word#*.}
	if [ "\$type" = defaults ]; then
		front=defaults. type=\${rest%%.*}
		if [ "\$type" = "\$rest" ]; then
			printf '%s\n' $(awk -F '\t' '$1 == "key" &&
			    !seen[$2]++ { printf "defaults.%s. ", $2
			}' "$tmp/d")
			return
		fi
		rest=\${rest#*.}
	fi
	_sluice_keys "\$type"
	front=\$front\$type.
	if [ "\$kind" = named ] && [ "\${front%%.*}" != defaults ]; then
		name=\${rest%%.*}
		if [ "\$name" = "\$rest" ]; then
			_sluice_names "\$type" "\$2" "\$3" |
			    sed "s/.*/\$front&./"
			return
		fi
		front=\$front\$name.
	fi
	for k in \$(echo "\$keys"); do
		case \$k in
		*.) printf '%s\n' "\$front\$k" ;;
		*) printf '%s\n' "\$front\$k=" ;;
		esac
	done
}

# TYPE.KEY of what stands before the = of --set
_sluice_key()
{
	local word=\$1 type keys kind
	word=\${word#defaults.}
	type=\${word%%.*}
	_sluice_keys "\$type"
	if [ "\$kind" = named ] && [ "\$word" = "\$1" ]; then
		word=\${word#*.}
		echo "\$type.\${word#*.}"
	else
		echo "\$word"
	fi
}
EOF
}

bash_part()
{
	common
	cat <<EOF

# the file that -c names on this line
_sluice_file()
{
	local i
	for ((i = 1; i < COMP_CWORD; i++)); do
		case \${COMP_WORDS[i]} in
		-c | --config) echo "\${COMP_WORDS[i + 1]}" ;;
		esac
	done | tail -1
}

# the value of an option of sluiced: OPTION CURRENT
_sluiced_value()
{
	case \$1 in
	--set)
		COMPREPLY=(\$(compgen -W "\$(_sluice_set "\$2" \\
		    "\${COMP_WORDS[0]}" "\$(_sluice_file)")" -- "\$2"))
		compopt -o nospace
		;;
	-s | --signal)
		COMPREPLY=(\$(compgen -W "$(words d signal 2)" -- "\$2"))
		;;
	--root) COMPREPLY=(\$(compgen -d -- "\$2")) ;;
	--port) ;;
	*) COMPREPLY=(\$(compgen -f -- "\$2")) ;;
	esac
}

_sluiced()
{
	local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]}
	local key='' vals=''
	COMPREPLY=()
	# --set a.b=c is three words, --root=d too
	if [ "\$cur" = = ]; then
		cur='' key=\$prev
	elif [ "\$prev" = = ]; then
		key=\${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case \$key in
	--*) _sluiced_value "\$key" "\$cur" ;;
	?*)
		_sluice_values "\$(_sluice_key "\$key")"
		COMPREPLY=(\$(compgen -W "\$vals" -- "\$cur"))
		;;
	*)
		case \$prev in
		$(valued d)) _sluiced_value "\$prev" "\$cur" ;;
		*)
			COMPREPLY=(\$(compgen -W "$(words d option 2 3)" \\
			    -- "\$cur"))
			;;
		esac
		;;
	esac
}

_sluicectl()
{
	local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]}
	local i word='' more=''
	COMPREPLY=()
	case \$prev in
	-o) COMPREPLY=(\$(compgen -W "text json" -- "\$cur")); return ;;
	-s | --config) COMPREPLY=(\$(compgen -f -- "\$cur")); return ;;
	-X)
		COMPREPLY=(\$(compgen -W \\
		    "GET HEAD POST PUT DELETE OPTIONS PATCH" -- "\$cur"))
		return
		;;
	-H | --from) return ;;
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		case \${COMP_WORDS[i]} in
		-o | -s) i=\$((i + 1)) ;;
		-*) ;;
		*) word=\${COMP_WORDS[i]}; break ;;
		esac
	done
	case \$word in
	'') more="$(words c option 2) $(commands_all)" ;;
$(commands)
	esac
	COMPREPLY=(\$(compgen -W "\$more" -- "\$cur"))
}

complete -F _sluiced sluiced
complete -F _sluicectl sluicectl
EOF
}

# every command once
commands_all()
{
	awk -F '\t' '$1 == "command" {
		sub(/ .*/, "", $2)
		if (!seen[$2]++)
			printf "%s%s", sep++ ? " " : "", $2
	}' "$tmp/c"
}

# lines for _arguments: "(-c --config)"{-c,--config}"[text]:FILE:_files"
zsh_options()
{
	awk -F '\t' -v q="'" '
		$1 != "option" { next }
		{
			text = $5
			gsub(/\[/, "\\[", text)
			gsub(/\]/, "\\]", text)
			gsub(/:/, "\\:", text)
			gsub(q, "", text)
			act = ""
			if ($4 == "SECTION.KEY=VALUE")
				act = ":setting:_sluice_zset"
			else if ($4 == "WORD")
				act = ":word:(" signals ")"
			else if ($4 == "DIR")
				act = ":directory:_files -/"
			else if ($4 == "text|json")
				act = ":format:(text json)"
			else if ($4 == "N")
				act = ":number: "
			else if ($4 != "")
				act = ":file:_files"
			names = $2 != "" && $3 != "" ? \
			    q "(" $2 " " $3 ")" q "{" $2 "," $3 "}" : $2 $3
			if ($3 == "--set")
				names = q "*" q names
			printf "\t    %s%s[%s]%s%s \\\n", names, q, text, act, q
		}' signals="$(words d signal 2)" "$tmp/$1"
}

zsh_part()
{
	echo '#compdef sluiced sluicectl'
	common
	cat <<EOF

_sluice_zset()
{
	setopt localoptions shwordsplit
	local keys='' kind='' vals='' key=\${PREFIX%%=*}
	local -a found
	if [[ \$PREFIX = *=* ]]; then
		_sluice_values "\$(_sluice_key "\$key")"
		found=(\${=vals})
		compset -P '*='
		compadd -a found
	else
		found=(\${(f)"\$(_sluice_set "\$PREFIX" "\${words[1]}" \\
		    "\${opt_args[-c]:-\${opt_args[--config]}}")"})
		compadd -S '' -a found
	fi
}

_sluiced()
{
	_arguments -s \\
$(zsh_options d | sed '$s/ \\$//')
}

_sluicectl()
{
	local more='' word
	local -a found
	found=(
$(awk -F '\t' -v q="'" '$1 == "command" && $2 !~ / / {
		gsub(/:/, "\\:", $2)
		gsub(q, "", $4)
		printf "\t    %s%s:%s%s\n", q, $2, $4, q
	}' "$tmp/c")
	)
	_arguments -C \\
$(zsh_options c)
	    '1:command:->command' '*::word:->word'
	case \$state in
	command) _describe command found ;;
	word)
		case \${words[1]} in
$(commands)
		esac
		found=(\${=more})
		compadd -a found
		_files
		;;
	esac
}

case \$service in
sluicectl) _sluicectl "\$@" ;;
*) _sluiced "\$@" ;;
esac
EOF
}

case $shell in
bash) bash_part ;;
zsh) zsh_part ;;
*)
	echo "usage: completion.sh bash|zsh SLUICED SLUICECTL" >&2
	exit 2
	;;
esac
