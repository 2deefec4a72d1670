#!/usr/bin/perl
# The inventory: what is in this clone, as digests, one line on the console. Reads only. ingot/bake/inventory.py computes
# the same texts from the tree of a bake; a test holds the two together.
use strict;
use warnings;
use Config;
use lib '/usr/lib/ingot';
use Ingot;

my $MOST_DIFFERENCES = 20;
my %TYPE = (0100000 => 'f', 0040000 => 'd', 0120000 => 'l', 0020000 => 'c', 0060000 => 'b', 0010000 => 'p');
# What may change (~), what is held all the same with all below it (=) or alone (!): ingot/bake/tree/volatile.py.
my (%volatile, %held, %single, %leads);
for (split /\n/, Ingot::read_file("$Ingot::LIBRARY/volatile")) {
    my ($sign, $path) = /^([~=!])(.*)/ or next;
    ($sign eq '~' ? \%volatile : $sign eq '=' ? \%held : \%single)->{$path} = 1;
    next if $sign eq '~';
    $leads{$path} = 1 while $path =~ s{/[^/]*$}{};    # the directories that lead there are entered
}

sub is_volatile {
    my ($path) = @_;
    return 0 if $single{$path};
    for (my $above = $path; $above ne ''; $above =~ s{/[^/]*$}{}) {
        return 1 if $volatile{$above};
        return 0 if $held{$above};
    }
    return 0;
}

my (%line_of, @to_hash, %link_of);
# lgetxattr(2) by its number: perl-base has no function for it. (Linux: syscall_64.tbl; asm-generic/unistd.h)
my $lgetxattr = $Config{archname} =~ /^x86_64/ ? 192 : $Config{archname} =~ /^aarch64/ ? 9 : die "unknown: $Config{archname}\n";

# The capabilities of a file in hex; nothing for one without.
sub capabilities {
    my ($path) = @_;
    my ($name, $value) = ('security.capability', "\0" x 64);
    my $length = syscall $lgetxattr, $path, $name, $value, 64;
    return $length > 0 ? unpack('H*', substr $value, 0, $length) : ();
}

# $may_change: the path is volatile, and entered for something below it that is not.
sub walk {
    my ($path, $device, $may_change) = @_;
    my @stat = lstat($path eq '' ? '/' : $path) or return;
    my $type = $TYPE{ $stat[2] & 0170000 } or return;
    my $name = Ingot::escape($path eq '' ? '/' : $path);
    my $link = $type eq 'l' ? readlink $path : undef;
    $link_of{$path} = $link if $type eq 'l' && !$may_change;
    my $counts = !$may_change || $single{$path};
    push @to_hash, $path if $type eq 'f' && $counts;
    $line_of{$path} = [$name, $type, sprintf('%04o', $stat[2] & 07777), $stat[4], $stat[5], $type eq 'f' ? $stat[7] : 0,
        $type eq 'l' ? Ingot::escape($link) : '-', $type eq 'f' ? capabilities($path) : ()] if $counts;
    return if $type ne 'd' || $stat[0] != $device;
    opendir my $directory, ($path eq '' ? '/' : $path) or return;
    for my $entry (readdir $directory) {
        next if $entry eq '.' || $entry eq '..';
        my $below = "$path/$entry";
        my $changes = $volatile{$below} || ($may_change && !$held{$below});
        walk($below, $device, $changes) if !$changes || $leads{$below} || $single{$below};
    }
    closedir $directory;
}

# EBS loads a block from the snapshot when it is first read, which takes much longer than a read. A clone that reads all its
# files while its services start would take these reads from them. Idle priority is no help: NVMe disks have no I/O scheduler.
# So the first inventory of a boot waits, and then reads slowly: 16 MiB and 512 files a second are an eighth of what the
# smallest gp3 volume gives (125 MiB, 3,000 reads). Disks other than EBS volumes have all that they will ever have.
my $MIB = 2**20;
my $PER_FILE = $MIB / 32;    # what a file costs beside its bytes
my $rate = 0;                # bytes a second; 0: no limit
my ($begun, $read) = (0, 0);

# Whether the root is an EBS volume: its NVMe model, as the EC2 User Guide has it ("Amazon EBS volumes and NVMe").
sub is_on_ebs {
    my $device = (stat '/')[0];
    my $number = sprintf '%d:%d', ($device >> 8) & 0xfff, ($device & 0xff) | (($device >> 12) & 0xffffff00);
    # A partition's directory is below that of its disk.
    return grep { Ingot::read_file("/sys/dev/block/$number/$_/model") =~ /^Amazon Elastic Block Store/ } '../device', 'device';
}

sub wait_for_volume {
    my ($delay, $limit) = map { ($ENV{"INGOT_INVENTORY_$_"} // '') =~ /^(\d+)$/ ? $1 : 0 } qw(DELAY RATE);
    return if -e Ingot::scratch('sequence') || !is_on_ebs();
    my ($uptime) = Ingot::read_file('/proc/uptime') =~ /^(\d+)/;
    sleep $delay - $uptime if $uptime < $delay;
    ($rate, $begun) = ($limit * $MIB, time);
}

# Counts what was read, and waits where that was faster than the limit.
sub pace {
    my ($bytes) = @_;
    return unless $rate;
    $read += $bytes;
    my $early = $read / $rate - (time - $begun);
    select undef, undef, undef, $early if $early > 0;
}

# One large file, read in pieces.
sub hash_slowly {
    my ($path) = @_;
    my $result = Ingot::scratch("sum.$$");
    open my $file, '<:raw', $path or return;
    open my $sum, '|-', "exec sha256sum >$result" or die "sha256sum: $!\n";
    while (sysread $file, my $piece, $MIB) {
        print {$sum} $piece or die "sha256sum: $!\n";
        pace(length $piece);
    }
    close $sum or die "sha256sum failed\n";
    $line_of{$path}[6] = substr Ingot::read_file($result), 0, 64;
    unlink $result;
}

# The next files to hash together: all that are left, up to 400, and where reading is limited up to 8 MiB.
sub some_files {
    my ($bytes, @some) = (0);
    while (@to_hash && @some < 400 && $bytes < 8 * $MIB) {
        my $path = shift @to_hash;
        if ($rate && $line_of{$path}[5] > 8 * $MIB) { hash_slowly($path); next }
        $bytes += $line_of{$path}[5] + $PER_FILE if $rate;
        push @some, $path;
    }
    return ($bytes, @some);
}

sub hash_files {
    while (@to_hash) {
        my ($bytes, @some) = some_files();
        next unless @some;
        open my $sums, '-|', 'sha256sum', '--zero', '--', @some or die "sha256sum: $!\n";
        local $/ = "\0";
        while (my $sum = <$sums>) {
            chomp $sum;
            my $path = substr $sum, 66;
            $line_of{$path}[6] = substr $sum, 0, 64 if $line_of{$path};
        }
        close $sums;
        pace($bytes);
    }
}

sub text { return join '', map { "$_\n" } sort @_ }

sub packages {
    my @lines;
    for my $paragraph (split /\n\n+/, Ingot::read_file('/var/lib/dpkg/status')) {
        my %field = $paragraph =~ /^(Package|Version|Architecture|Status): (.*)$/mg;
        push @lines, join "\t", @field{qw(Package Version Architecture Status)} if $field{Package};
    }
    return text(@lines);
}

sub users {
    my %state;
    for (split /\n/, Ingot::read_file('/etc/shadow')) {
        my ($name, $password) = split /:/;
        $state{$name} = !defined $password || $password eq '' ? 'empty' : $password =~ /^[!*]/ ? 'locked' : 'password';
    }
    my @lines = grep { length } split /\n/, Ingot::read_file('/etc/passwd');
    return text(map { "$_\t" . ($state{ (split /:/)[0] } // 'none') } @lines);
}

sub services {
    my $directory = '/etc/systemd/system/';
    return text(map { Ingot::escape($_) . "\t" . Ingot::escape($link_of{$_}) } grep { index($_, $directory) == 0 } keys %link_of);
}

# Names what differs from the image's own list: the list of the layer below, and on it the list of what the recipe changed.
sub differences {
    my %known;
    for my $name ('base', 'image') {
        for (split /\n/, Ingot::read_file("$Ingot::LIBRARY/baseline/$name")) {
            my ($path) = split /\t/;
            if ($_ eq "$path\tremoved") { delete $known{$path} } else { $known{$path} = $_ }
        }
    }
    my @found;
    for my $fields (values %line_of) {
        my $line = join "\t", @$fields;
        my $old = delete $known{ $fields->[0] };
        push @found, "$fields->[0] " . (defined $old ? 'changed' : 'added') if !defined $old || $old ne $line;
    }
    # The list of the layer below knows nothing of what the recipe says may change.
    @found = sort @found, map { "$_ removed" } grep { !is_volatile(Ingot::unescape($_)) } keys %known;
    my $more = @found - $MOST_DIFFERENCES;
    return $more > 0 ? (@found[0 .. $MOST_DIFFERENCES - 1], "…and $more more") : @found;
}

wait_for_volume();
# When it was made, so that an old line is not taken for a new one: taken before the first file is read.
my $time = time;
my ($uptime) = Ingot::read_file('/proc/uptime') =~ /^(\d+)/;
my $kernel = Ingot::read_file('/proc/sys/kernel/osrelease');
walk('', (lstat '/')[0], 0);
hash_files();
my %section = (
    os => Ingot::read_file('/etc/os-release') . "KERNEL=$kernel",
    packages => packages(),
    users => users(),
    groups => text(grep { length } split /\n/, Ingot::read_file('/etc/group')),
    files => text(map { join "\t", @$_ } values %line_of),
    services => services(),
);
if (@ARGV && $ARGV[0] eq '--text') {    # for people who want to see what a digest is made of
    print $section{ $ARGV[1] } // die "no section $ARGV[1]\n";
    exit 0;
}
my $sections = join ',', map { "\"$_\":\"" . Ingot::sha256($section{$_}) . '"' } sort keys %section;
my $differs = join ',', map { Ingot::json_string($_) } differences();
my $print = @ARGV && $ARGV[0] eq '--print';
my $json = '{"boot":' . Ingot::json_string(Ingot::boot_id()) . ",\"differs\":[$differs],\"digest\":" . Ingot::json_string(Ingot::image('digest'))
    . ',"recipe":' . Ingot::json_string(Ingot::image('recipe')) . ",\"sections\":{$sections},\"sequence\":"
    . ($print ? 0 : Ingot::next_number()) . ",\"time\":$time,\"uptime\":" . ($uptime // 0) . '}';
if ($print) { print "$json\n" } else { Ingot::report('ingot-inventory', $json) }
