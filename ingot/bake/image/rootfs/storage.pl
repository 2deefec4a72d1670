#!/usr/bin/perl
# Disks of this clone beside its root volume, as its recipe declares them. A disk is found by what it says of itself, never by the order
# in which Linux met it, and formatted only when there is nothing on it. What goes wrong is said on the console.
#   storage volume NAME   format the data volume NAME when it is blank, mount it, grow its file system
#   storage scratch       the same with an instance-store disk, whose content is nobody's
#   storage swap          swap on instance-store disks, or in a file on the root volume
#   storage grow          grow the file systems of mounted volumes that were enlarged
use strict;
use warnings;
use Fcntl qw(SEEK_SET SEEK_END);
use lib '/usr/lib/ingot';
use Ingot;

our ($SYS, $DEV, $LIMIT, $SWAP_FILE);    # other ones: tests
$SYS //= '/sys';
$DEV //= '/dev';
$LIMIT //= 60;    # seconds for a disk to appear: those that a launch attaches are there at boot
$SWAP_FILE //= '/var/lib/ingot/swap';
my $MIB = 1 << 20;
# linux/nvme_ioctl.h: NVME_IOCTL_ADMIN_CMD. nvme(4): Identify is command 6, CNS 1 the controller.
my $ADMIN_COMMAND = 0xc0484e41;
# Models of EC2's disks ("Amazon EBS volumes and NVMe" and "Instance store volumes", EC2 user guide).
my $EBS = 'Amazon Elastic Block Store';
my $INSTANCE_STORE = 'Amazon EC2 NVMe Instance Storage';

my (%volume, $scratch, $swap, $instance_swap);    # what the recipe declares

# --- Which disk is which --------------------------------------------------------------------------------------------------------

# Names of a mapping come as /dev/sdf, sdf or xvdf.
sub plain_name { my ($name) = @_; $name =~ s{^/dev/}{}; $name =~ s/^xvd/sd/; return $name }

sub attribute {
    my ($disk, $name) = @_;
    my $text = Ingot::read_file("$SYS/class/block/$disk/device/$name");
    $text =~ s/^\s+|[\s\0]+$//g;
    return $text;
}

# The device name of the block device mapping, which EBS puts into the vendor's part of the controller's identification.
sub name_in_identification {
    my ($data) = @_;
    my $name = length $data < 4096 ? '' : substr $data, 3072, 32;
    $name =~ s/[\s\0].*//s;
    return $name;
}

sub identification {
    my ($disk) = @_;
    my $data = "\0" x 4096;
    open my $device, '<:raw', "$DEV/$disk" or return '';
    # struct nvme_admin_cmd: opcode, flags, reserved, namespace, two words, metadata, address, two lengths, six words, timeout, result.
    my $command = pack 'CCSLLLQQLLL6LL', 6, 0, 0, 0, 0, 0, 0, unpack('J', pack 'P', $data), 0, length $data, 1, (0) x 5, 0, 0;
    my $done = ioctl $device, $ADMIN_COMMAND, $command;
    close $device;
    return defined $done && $done == 0 ? $data : '';
}

# What firmware says of disks by serial number: a machine outside EC2 has no other way to tell. SMBIOS 3.6, 7.12 "OEM Strings".
sub named_by_firmware {
    my %name;
    my $tables = Ingot::read_file("$SYS/firmware/dmi/tables/DMI");
    $name{$1} = $2 while $tables =~ /ingot-disk:([A-Za-z0-9]+)=([a-z0-9-]+)\0/g;
    return \%name;
}

# Disks with their names: sdf and the like, or instance-store; '' for one without.
sub disks {
    opendir my $directory, "$SYS/class/block" or return {};
    my @found = grep { /^(nvme\d+n\d+|xvd[a-z]+|sd[a-z]+)$/ } readdir $directory;
    closedir $directory;
    my ($firmware, %name) = (named_by_firmware());
    for my $disk (@found) {
        my $model = attribute($disk, 'model');
        my $said = $firmware->{ attribute($disk, 'serial') };
        $name{$disk} = defined $said ? plain_name($said)
            : $disk !~ /^nvme/ ? plain_name($disk)
            : $model eq $INSTANCE_STORE ? 'instance-store'
            : $model eq $EBS ? plain_name(name_in_identification(identification($disk)))
            : '';
    }
    return \%name;
}

# The disk of a name; waits until it is there.
sub disk_of {
    my ($wanted) = @_;
    my $end = time + $LIMIT;
    while (1) {
        my $name = disks();
        my @found = grep { $name->{$_} eq plain_name($wanted) } sort keys %$name;
        return $found[0] if @found == 1;
        die "$wanted is the name of several disks: @found\n" if @found;
        next if time < $end and sleep 1;
        my @others = map { $name->{$_} eq '' ? $_ : "$_ ($name->{$_})" } sort keys %$name;
        die "no disk $wanted came in $LIMIT s; there are " . (join(', ', @others) || 'none') . "\n";
    }
}

# --- What is on a disk ------------------------------------------------------------------------------------------------------------

# Output and exit status of a program; dies when it cannot be run.
sub output_of {
    my (@words) = @_;
    my $child = open my $output, '-|';
    die "fork: $!\n" unless defined $child;
    if (!$child) {
        open STDERR, '>&', \*STDOUT;
        exec @words or exit 127;
    }
    local $/;
    my $text = <$output> // '';
    close $output;
    die "$words[0] cannot be run\n" if $? >> 8 == 127;
    $text =~ s/\s+/ /g;
    return ($text, $? & 127 ? 128 : $? >> 8);
}

sub must {
    my (@words) = @_;
    my ($text, $status) = output_of(@words);
    die "`@words` failed: " . substr($text, 0, 300) . "\n" if $status;
    return $text;
}

# The type of the file system and its label; '' for a blank disk. Dies of everything else that may be on it. blkid(8): 2 is nothing known.
sub type_of {
    my ($path) = @_;
    my ($text, $status) = output_of('blkid', '-p', '-s', 'TYPE', '-s', 'PTTYPE', '-s', 'LABEL', '-o', 'export', '--', $path);
    my ($label) = $text =~ /\bLABEL=(\S+)/;
    return ($1, $label // '') if $status == 0 && $text =~ /\bTYPE=(\S+)/ && $text !~ /\bPTTYPE=/;
    die "it holds a partition table ($1)\n" if $status == 0 && $text =~ /\bPTTYPE=(\S+)/;
    die "it holds what blkid cannot tell: $text\n" if $status != 2;
    die "it holds data that is no file system\n" unless is_blank($path);
    return ('', '');
}

# Whether a disk that holds nothing known reads as zeros: its beginning, its end, and samples all over it.
sub is_blank {
    my ($path) = @_;
    open my $disk, '<:raw', $path or die "$path: $!\n";
    my $size = sysseek $disk, 0, SEEK_END or die "$path: $!\n";
    my %at = map { int($size / 256 * $_ / 4096) * 4096 => 65536 } 0 .. 255;
    $at{0} = 8 * $MIB;
    $at{ $size > $MIB ? $size - $MIB : 0 } = 8 * $MIB;
    for my $place (sort { $a <=> $b } keys %at) {
        sysseek $disk, $place, SEEK_SET or die "$path: $!\n";
        for (my $left = $at{$place}; $left > 0;) {
            my $read = sysread $disk, my $bytes, $left < $MIB ? $left : $MIB;
            die "$path cannot be read: $!\n" unless defined $read;
            last if $read == 0;
            return 0 if $bytes =~ /[^\0]/;
            $left -= $read;
        }
    }
    close $disk;
    return 1;
}

my %MAKE = (ext4 => ['mkfs.ext4', '-q', '-L'], xfs => ['mkfs.xfs', '-q', '-L']);

sub is_mounted {
    my ($place) = @_;
    for (split /\n/, Ingot::read_file('/proc/self/mountinfo')) {
        my $there = (split / /)[4];
        $there =~ s/\\(\d{3})/chr oct $1/ge;
        return 1 if $there eq $place;
    }
    return 0;
}

sub check {
    my ($path, $type) = @_;
    return if $type ne 'ext4';    # xfs is repaired by its log, when it is mounted
    my ($text, $status) = output_of('e2fsck', '-p', $path);    # e2fsck(8): 1 and 2 are repairs
    die "its file system is damaged: " . substr($text, 0, 300) . "\n" if $status >= 4;
    return;
}

sub grow {
    my ($path, $type, $place) = @_;
    must($type eq 'ext4' ? ('resize2fs', $path) : ('xfs_growfs', $place));
    return;
}

# A new file system belongs to whom the recipe says, else to whom its directory in the image does. Told by its emptiness: a power cut
# between the two does no harm.
sub give {
    my ($place, $before, $owner, $group, $mode) = @_;
    opendir my $directory, $place or die "$place: $!\n";
    my @inside = grep { !/^(\.|\.\.|lost\+found)$/ } readdir $directory;
    closedir $directory;
    return if @inside;
    my $user = $owner eq '' ? $before->[4] : getpwnam $owner;
    my $team = $group eq '' ? $before->[5] : getgrnam $group;
    die "there is no user $owner\n" unless defined $user;
    die "there is no group $group\n" unless defined $team;
    chown $user, $team, $place or die "$place: $!\n";
    chmod $mode eq '' ? $before->[2] & 07777 : oct $mode, $place or die "$place: $!\n";
    return;
}

sub mount_disk {
    my ($path, $label, $what) = @_;
    my ($place, $type) = @$what{qw(mount filesystem)};
    must('mkdir', '-p', '--', $place);
    my ($found, $is_of) = type_of($path);
    # The recipe may have given the device names to its volumes in another order.
    die "it is the volume $is_of\n" if $is_of ne $label && $volume{$is_of};
    if ($found eq '') {
        must(@{ $MAKE{$type} }, $label, $path);
        print "formatted $path as $type\n";
    }
    elsif ($found ne $type) { die "it holds $found, and the recipe says $type\n" }
    check($path, $type);
    my $before = [stat $place];
    must('mount', '-t', $type, '-o', 'nodev,nosuid', '--', $path, $place);
    give($place, $before, @$what{qw(owner group mode)});
    # What is there can be used, however small.
    say_once("grow-$label", "ingot: the volume $label was not grown: $@") unless eval { grow($path, $type, $place); 1 };
    print "mounted $path at $place\n";
    return;
}

# --- The program --------------------------------------------------------------------------------------------------------------------

sub declared {
    for (split /\n/, Ingot::read_file("$Ingot::LIBRARY/storage.list")) {
        my ($kind, @words) = map { Ingot::unescape($_) } split /\t/, $_, -1;
        my %what;
        @what{qw(name device mount filesystem owner group mode)} = @words;
        if ($kind eq 'volume') { $volume{ $words[0] } = \%what }
        elsif ($kind eq 'scratch') { $scratch = \%what }
        elsif ($kind eq 'swap') { $swap = $words[0] }
        elsif ($kind eq 'instance-swap') { $instance_swap = 1 }
    }
    return;
}

sub instance_disks {
    system 'udevadm', 'settle', '--timeout=10';    # they are there before the boot, and met by Linux a moment later
    my $name = disks();
    return grep { $name->{$_} eq 'instance-store' } sort keys %$name;
}

sub volume {
    my ($name) = @_;
    my $what = $volume{$name} or die "the image declares no volume $name\n";
    return if is_mounted($what->{mount});
    mount_disk("$DEV/" . disk_of($what->{device}), $name, $what);
    return;
}

sub scratch {
    return if is_mounted($scratch->{mount});
    my @disks = instance_disks();
    if (!@disks) {
        say_once('scratch', "ingot: this instance has no instance-store disk; $scratch->{mount} is on the root volume");
        return;
    }
    my $path = "$DEV/$disks[0]";
    # After a reboot it is the scratch of before; all else on it is nobody's.
    my ($found) = eval { type_of($path) };
    $found //= 'data';
    if ($found ne $scratch->{filesystem}) {
        must('wipefs', '--all', '--quiet', '--', $path);
        must(@{ $MAKE{ $scratch->{filesystem} } }, 'scratch', $path);
    }
    mount_disk($path, 'scratch', $scratch);
    return;
}

sub swap {
    my $active = Ingot::read_file('/proc/swaps');
    for my $path ($instance_swap ? map { "$DEV/$_" } instance_disks() : ()) {
        next if $active =~ /^\Q$path\E\s/m;
        must('mkswap', '--', $path);
        must('swapon', '--priority', '10', '--', $path);
    }
    return if !defined $swap || $active =~ /^\Q$SWAP_FILE\E\s/m;
    if ((-s $SWAP_FILE // 0) != $swap) {
        unlink $SWAP_FILE;
        my ($directory) = $SWAP_FILE =~ m{^(.*)/};
        must('mkdir', '-p', '--', $directory);
        my $before = umask 077;
        my $done = eval { must('fallocate', '--length', $swap, '--', $SWAP_FILE); must('mkswap', '--', $SWAP_FILE); 1 };
        my $why = $@;
        umask $before;    # what is made in /run is read by others
        if (!$done) {
            unlink $SWAP_FILE;    # not half of one, and not a full root volume
            die $why;
        }
    }
    must('swapon', '--', $SWAP_FILE);
    return;
}

sub grow_all {
    my $name = disks();
    for my $what (map { $volume{$_} } sort keys %volume) {
        next unless is_mounted($what->{mount});
        my ($disk) = grep { $name->{$_} eq plain_name($what->{device}) } sort keys %$name;
        grow("$DEV/$disk", $what->{filesystem}, $what->{mount}) if defined $disk;
    }
    return;
}

# On the console, unless it said the same before: what fails is tried every minute.
sub say_once {
    my ($about, $text) = @_;
    my $file = Ingot::scratch("said-$about");
    return if Ingot::read_file($file) eq $text;
    Ingot::say(Ingot::escape($text));
    open my $said, '>', $file or return;
    print {$said} $text;
    close $said;
    return;
}

my ($verb, $name) = (@ARGV, '', '');
my %run = (volume => \&volume, scratch => \&scratch, swap => \&swap, grow => \&grow_all);
die "unknown: $verb\n" unless $run{$verb};
if (!eval { declared(); $run{$verb}->($name); 1 }) {
    chomp(my $why = $@);
    my %about = (
        volume => "the volume $name is not mounted" . ($volume{$name} ? " at $volume{$name}{mount}" : ''),
        scratch => 'the instance store is not mounted', swap => 'there is no swap', grow => 'a volume could not be grown',
    );
    say_once("$verb-$name", "ingot: $about{$verb}: $why");
    print STDERR "$why\n";
    exit 1;
}
unlink Ingot::scratch("said-$verb-$name");
